"""Scores of many subjects to a table: means, and what the main method gains, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.metrics import clustered_bootstrap

PAIRED = ("psnr_db", "sharpness")
"""Metrics of which the main method's gain over each other is told."""

DECIMALS = {"psnr_db": 2, "main_gain_psnr_db": 2}
"""Decimal places in the table of means where they are not three."""


@dataclass(frozen=True)
class Score:
    """One method on one subject in one direction.

    Attributes
    ----------
    subject, anatomy
        Numbers; several subjects may have been made from one anatomy.
    metrics
        NaN where there is none, e.g. coverage without an uncertainty.
    """

    target: str
    method: str
    subject: int
    anatomy: int
    metrics: dict[str, float]


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def interval(values: NDArray[np.floating], anatomy: NDArray[np.integer], seed: int) -> Interval | None:
    """Mean over the subjects that have a value; anatomies are resampled first, then subjects.

    Parameters
    ----------
    values, anatomy
        (n_subjects,)

    Returns
    -------
    Interval or None
        None where no subject has a value.
    """
    known = ~np.isnan(values)
    if not known.any():
        return None
    return Interval(float(values[known].mean()), *clustered_bootstrap(values[known], anatomy[known], seed))


def compare(scores: Sequence[Score], main: str, seed: int) -> list[dict[str, Any]]:
    """One row per direction and method, in the order of their first scores.

    `main_gain_*` is the mean of the paired differences, main method minus this one, subject by subject: the
    main method is better where its interval lies above zero.

    Parameters
    ----------
    main
        Name of the method that the others are held against; every subject has a score of it.

    Returns
    -------
    list of dict
        `target`, `method`, `n` (subjects), and an `Interval` or None per metric and per gain.
    """
    by_case = {(s.target, s.method, s.subject): s.metrics for s in scores}
    rows = []
    for target, method in dict.fromkeys((s.target, s.method) for s in scores):
        own = [s for s in scores if (s.target, s.method) == (target, method)]
        anatomy = np.array([s.anatomy for s in own])
        columns = {name: np.array([s.metrics[name] for s in own]) for name in own[0].metrics}
        rivals = [by_case[target, main, s.subject] for s in own]
        gains = {
            f"main_gain_{name}": np.array([rival[name] for rival in rivals]) - columns[name]
            for name in PAIRED
        }
        intervals = {name: interval(v, anatomy, seed) for name, v in (columns | gains).items()}
        rows.append({"target": target, "method": method, "n": len(own), **intervals})
    return rows


def subjects_table(scores: Sequence[Score]) -> str:
    """Tab-separated, one line per method, subject and direction."""
    header = ("target", "method", "subject", "anatomy", *scores[0].metrics)
    lines = [
        (s.target, s.method, str(s.subject), str(s.anatomy), *(_number(v, 4) for v in s.metrics.values()))
        for s in scores
    ]
    return "".join("\t".join(line) + "\n" for line in (header, *lines))


def means_table(rows: Sequence[dict[str, Any]]) -> str:
    """Tab-separated `mean [low, high]`, one line per method and direction."""

    def cell(name: str, value: Any) -> str:
        if not isinstance(value, tuple):
            return "n/a" if value is None else str(value)
        mean, low, high = (_number(v, DECIMALS.get(name, 3)) for v in value)
        return f"{mean} [{low}, {high}]"

    lines = [[cell(name, value) for name, value in row.items()] for row in rows]
    return "".join("\t".join(line) + "\n" for line in (list(rows[0]), *lines))


def _number(value: float, digits: int) -> str:
    return "n/a" if np.isnan(value) else f"{value:.{digits}f}"
