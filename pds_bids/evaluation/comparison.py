"""Scores of many subjects to a table: means, and what the main method gains, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.metrics import Array, clustered_bootstrap, resampled
from pds_bids.evaluation.significance import signed_rank

PAIRED = ("psnr_db", "sharpness")
"""Metrics of which the main method's gain over each other is told."""

DECIMALS = {"psnr_db": 2, "psnr_whole_db": 2, "crps": 4, "main_gain_psnr_db": 2}
"""Decimal places in the table of means where they are not three."""


@dataclass(frozen=True)
class Score:
    """One method on one subject in one direction.

    Attributes
    ----------
    subject
        Number or label.
    anatomy
        Number; several subjects may have been made from one.
    metrics
        NaN where there is none, e.g. coverage without an uncertainty.
    curves
        What figures show, by name; the same curve is as long for everybody.
    group
        Diagnosis, or `unknown`.
    seconds
        It took to make.
    """

    target: str
    method: str
    subject: int | str
    anatomy: int
    metrics: dict[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    group: str = "unknown"
    seconds: float = float("nan")


def mean_or_nan(rows: Sequence[float] | Sequence[Sequence[float]]) -> Array:
    """Mean over the first axis of the values that are known."""
    values = np.asarray(rows, np.float64)
    known = np.isfinite(values)
    total, count = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def one_a_subject(scores: Sequence[Score]) -> list[Score]:
    """The mean over the visits of each subject, who is what intervals and tests count."""
    visits: dict[tuple[str, str, int | str], list[Score]] = {}
    for score in scores:
        visits.setdefault((score.target, score.method, score.subject), []).append(score)
    return [_mean_of_visits(own) if len(own) > 1 else own[0] for own in visits.values()]


def _mean_of_visits(own: Sequence[Score]) -> Score:
    names, curves = own[0].metrics, own[0].curves
    return replace(
        own[0],
        metrics={name: float(mean_or_nan([s.metrics[name] for s in own])) for name in names},
        curves={name: mean_or_nan([s.curves[name] for s in own]).tolist() for name in curves},
    )


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


def interval_of(
    statistic: Callable[[NDArray[np.intp]], float], cluster: NDArray[np.integer], seed: int, n: int = 1000
) -> Interval | None:
    """Any statistic of subjects, and where it lies when they are resampled as in `interval`.

    Parameters
    ----------
    statistic
        Of rows, which may repeat; NaN where these do not determine it: such samples are left out.
    cluster
        (n_subjects,)

    Returns
    -------
    Interval or None
        None where all subjects together do not determine it.
    """
    value = statistic(np.arange(len(cluster)))
    if np.isnan(value):
        return None
    low, high = np.nanpercentile([statistic(rows) for rows in resampled(cluster, seed, n)], [2.5, 97.5])
    return Interval(value, float(low), float(high))


def compare(scores: Sequence[Score], main: str, seed: int) -> list[dict[str, Any]]:
    """One row per direction and method, in the order of their first scores.

    `main_gain_*` is the mean of the paired differences, main method minus this one, subject by subject: the
    main method is better where its interval lies above zero. `main_p_*` is the p of the same differences in
    Wilcoxon's signed-rank test, corrected by Holm for all methods in one direction.

    Parameters
    ----------
    main
        Name of the method that the others are held against; every subject has a score of it.

    Returns
    -------
    list of dict
        `target`, `method`, `n` (subjects), an `Interval` or None per metric and per gain, and a p or None
        (the main method itself) per gain.
    """
    by_case = {(s.target, s.method, s.subject): s.metrics for s in scores}
    rows, gains = [], []
    for target, method in dict.fromkeys((s.target, s.method) for s in scores):
        own = [s for s in scores if (s.target, s.method) == (target, method)]
        anatomy = np.array([s.anatomy for s in own])
        columns = {name: np.array([s.metrics[name] for s in own]) for name in own[0].metrics}
        rivals = [by_case[target, main, s.subject] for s in own]
        gain = {name: np.array([rival[name] for rival in rivals]) - columns[name] for name in PAIRED}
        named = columns | {f"main_gain_{name}": values for name, values in gain.items()}
        intervals = {name: interval(v, anatomy, seed) for name, v in named.items()}
        rows.append({"target": target, "method": method, "n": len(own), **intervals})
        gains.append(gain)
    return [row | p for row, p in zip(rows, _p_values(rows, gains, main), strict=True)]


def _p_values(
    rows: Sequence[dict[str, Any]], gains: Sequence[dict[str, Array]], main: str
) -> list[dict[str, float | None]]:
    """`main_p_*` of each row; all methods but the main one in one direction are a family."""
    found: list[dict[str, float | None]] = [{f"main_p_{name}": None for name in PAIRED} for _ in rows]
    for target, name in product(dict.fromkeys(row["target"] for row in rows), PAIRED):
        family = [k for k, row in enumerate(rows) if row["target"] == target and row["method"] != main]
        for k, test in zip(family, signed_rank([gains[k][name] for k in family]), strict=True):
            found[k][f"main_p_{name}"] = test.p_holm
    return found


def subjects_table(scores: Sequence[Score]) -> str:
    """Tab-separated, one line per method, subject and direction."""
    header = ("target", "method", "subject", "anatomy", *scores[0].metrics)
    lines = [
        (s.target, s.method, str(s.subject), str(s.anatomy), *(_number(v, 4) for v in s.metrics.values()))
        for s in scores
    ]
    return "".join("\t".join(line) + "\n" for line in (header, *lines))


def means_table(rows: Sequence[dict[str, Any]]) -> str:
    """Tab-separated `mean [low, high]` (a p alone), one line per method and direction."""

    def cell(name: str, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.2g}"
        if not isinstance(value, tuple):
            return "n/a" if value is None else str(value)
        mean, low, high = (_number(v, DECIMALS.get(name, 3)) for v in value)
        return f"{mean} [{low}, {high}]"

    lines = [[cell(name, value) for name, value in row.items()] for row in rows]
    return "".join("\t".join(line) + "\n" for line in (list(rows[0]), *lines))


def _number(value: float, digits: int) -> str:
    return "n/a" if np.isnan(value) else f"{value:.{digits}f}"
