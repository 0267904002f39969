"""What `--evaluate` found in a whole dataset: columns of the group table, and means over subjects."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.app.scores import MAIN, METRICS, TEMPLATE, Metric
from pds_bids.core.modality import Modality
from pds_bids.report.tables import cell_text
from pds_bids.report.templating import count_of

LEAST_SUBJECTS = 3
"""Of fewer subjects no interval is told."""

TOLD: Mapping[str, Metric] = dict(METRICS) | {
    "template_psnr_db": Metric("PSNR of the template (dB)", 2, "The same of the population template, in dB"),
    "gain_psnr_db": Metric("Gain in PSNR (dB)", 2, "PSNR less that of the population template, in dB"),
}
"""What is told of a synthesised volume: its own metrics, and what it gains over no synthesis at all."""

SUMMARY = {
    "target": "What was synthesised and held against the acquired volume: bold or dwi",
    "metric": "As in group_synthesis.json, without the target",
    "n_subjects": "Subjects with a value; sessions of one are averaged",
    "mean": "Mean over subjects",
    "low": f"Lower end of its 95 % bootstrap interval; n/a with fewer than {LEAST_SUBJECTS} subjects",
    "high": "Upper end of that interval",
}
"""Columns of the summary."""

Values = Mapping[str, float | None]
"""By `column`; None where there is none."""


def column(target: Modality, name: str) -> str:
    """Such as `dwi_psnr_db`."""
    return f"{target.value}_{name}"


def values_of(visit: Path) -> dict[str, float | None]:
    """The scores of a visit by column; none where it was not scored, and a line where they cannot be read."""
    path = visit / "log" / "scores.json"
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["scores"]
        by_method = {(row["target"], row["method"]): row for row in rows}
        return dict(_values(by_method))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{path}: cannot be read ({error!r}); run this participant again", file=sys.stderr)
        return {}


def _values(rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[tuple[str, float | None]]:
    for target in Modality:
        if (target.value, MAIN) in rows:
            own, template = rows[target.value, MAIN], rows[target.value, TEMPLATE]
            yield from ((column(target, name), own[name]) for name in METRICS)
            yield column(target, "template_psnr_db"), template["psnr_db"]
            yield column(target, "gain_psnr_db"), round(own["psnr_db"] - template["psnr_db"], 2)


def columns(visits: Sequence[Values]) -> dict[str, str]:
    """Name and meaning of each column that any visit has a value for."""
    told = {
        column(target, name): f"{metric.meaning}: synthesised {target.full_name} against the acquired one"
        for target in Modality
        for name, metric in TOLD.items()
    }
    return {name: meaning for name, meaning in told.items() if any(name in values for values in visits)}


@dataclass(frozen=True)
class Mean:
    """One metric in one direction over all subjects; `low` and `high` are None of too few."""

    target: Modality
    metric: str
    n_subjects: int
    mean: float
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        """As a page tells it: of too few subjects the mean alone."""
        if self.low is None:
            return str(cell_text(self.mean, TOLD[self.metric].decimals))
        return str(cell_text((self.mean, self.low, self.high), TOLD[self.metric].decimals))


def summarised(visits: Sequence[Values], subjects: Sequence[str], seed: int = 0) -> list[Mean]:
    """Means over subjects with 95 % bootstrap intervals.

    Parameters
    ----------
    visits, subjects
        Values of each visit, and whose it is: a subject counts once, however many sessions it has.
    """
    return [
        mean
        for target in Modality
        for name in TOLD
        if (mean := _mean(target, name, visits, subjects, seed)) is not None
    ]


def _mean(
    target: Modality, name: str, visits: Sequence[Values], subjects: Sequence[str], seed: int
) -> Mean | None:
    from pds_bids.evaluation.comparison import interval

    by_subject: dict[str, list[float]] = {}
    for subject, values in zip(subjects, visits, strict=True):
        if (value := values.get(column(target, name))) is not None:
            by_subject.setdefault(subject, []).append(value)
    if not by_subject:
        return None
    means, n = np.array([np.mean(values) for values in by_subject.values()]), len(by_subject)
    told = interval(means, np.arange(n), seed) if n >= LEAST_SUBJECTS else None
    return Mean(target, name, n, float(means.mean()), *(told[1:] if told else (None, None)))


def findings(means: Sequence[Mean]) -> list[str]:
    """A sentence a direction on the gain over the template; that none is shown is one, too."""
    return [_finding(mean) for mean in means if mean.metric == "gain_psnr_db"]


def _finding(gain: Mean) -> str:
    who = f"{gain.target.full_name}, {count_of(gain.n_subjects, 'subject')}"
    if gain.low is None or gain.high is None:
        return f"{who}: {gain.mean:+.2f} dB against the population template; too few to tell a difference."
    size = f"{gain.mean:+.2f} dB [{gain.low:.2f}, {gain.high:.2f}]"
    if gain.low > 0:
        return f"{who}: better than the population template by {size}."
    if gain.high < 0:
        return f"{who}: worse than the population template by {size}."
    return f"{who}: no difference from the population template is shown, {size}."
