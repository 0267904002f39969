"""Whether outputs lean toward the pattern of a disease, or toward the mean, where the truth does not.

Deviations of ROI means are in standard deviations between people of one group; on the axis of the pattern
that training estimated (Cohen's d of each ROI), 1 is the whole effect of the disease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.chapter import FEWEST, Answer, Measured, shown, text
from pds_bids.app.experiments.kept import Arrays
from pds_bids.app.experiments.volunteers import KINDS, LESIONS, PLAIN, Volunteer
from pds_bids.app.methods import refined
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.evaluation.comparison import Interval, interval, interval_of
from pds_bids.evaluation.drift import along, between_people_sd, slope
from pds_bids.models.pattern import PatternValues
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.pattern import roi_means

Floats = NDArray[np.floating]

CIRCUMSTANCES = (PLAIN, *LESIONS)

TRUTH, MADE, TEMPLATE = range(3)

ADDED = "what "
"""Begins the name of a row of differences in the same people."""


def known_pattern(model: PdsModel) -> PatternValues:
    """What the model knows of the disease.

    Raises
    ------
    UsageError
        If it was trained without diagnoses.
    """
    if model.pattern is None or not model.pattern.d_MR.any():
        raise UsageError("--model: knows no pattern of a disease; train with `[pattern]` on labelled people")
    return model.pattern


def measure(volunteer: Volunteer) -> Arrays:
    """`rois`: (M, C, 3, R) means of truth, output and template; NaN where there is no such circumstance."""
    atlas = known_pattern(volunteer.model).atlas
    labels = atlas.labels(MODEL_GRID)
    templates = volunteer.model.templates.cpu().numpy()
    means = np.full((len(Modality), len(CIRCUMSTANCES), 3, len(atlas)), np.nan)
    for c, circumstance in enumerate(CIRCUMSTANCES):
        if circumstance not in (PLAIN, *volunteer.lesions):
            continue
        for target in range(len(Modality)):
            outputs = volunteer.outputs(circumstance, target)
            volumes = outputs.case.truth, refined(outputs).volume, templates[target]
            for k, volume in enumerate(volumes):
                means[target, c, k] = roi_means(volume, outputs.case.mask, labels, len(atlas))
    return {"rois": means}


def answer(measured: Measured, model: PdsModel) -> Answer:
    """Drift by group and lesion, what disease shows of itself, and shrinkage toward the template."""
    pattern = known_pattern(model)
    drifts, slopes, charts, findings = [], [], [], []
    for target, modality in enumerate(Modality):
        found = Deviations(measured.arrays["rois"][:, target], pattern.d_MR[target], measured)
        rows = [{"target": modality.value, **row} for row in found.drifts()]
        lines = found.slopes()
        drifts += rows
        slopes += [{"target": modality.value, "line": name, "slope": shown(s)} for name, s in lines.items()]
        charts.append(_chart(modality, rows))
        findings += _findings(modality, rows, lines)
    tables = {
        "Drift toward the pattern of the disease": drifts,
        "Synthesised against true deviations": slopes,
    }
    return Answer(findings, tables, charts)


@dataclass(frozen=True)
class Deviations:
    """ROI deviations of N people in one direction, in standard deviations between people.

    Attributes
    ----------
    rois_NCKR
        As `measure` gives them.
    d_R
        The pattern.
    measured
        Who they are of.
    """

    rois_NCKR: Floats
    d_R: Floats
    measured: Measured

    @cached_property
    def sd_R(self) -> Floats:
        """Between people of one group, of the plain truth."""
        return between_people_sd(self.rois_NCKR[:, 0, TRUTH], self.measured.kind)

    def between(self, one: int, other: int, circumstance: int = 0) -> Floats:
        """(N, R) `one` minus `other` of `TRUTH`, `MADE` and `TEMPLATE`."""
        difference: Floats = self.rois_NCKR[:, circumstance, one] - self.rois_NCKR[:, circumstance, other]
        return difference / self.sd_R

    def interval(self, values: Floats, who: NDArray[np.bool_]) -> Interval | None:
        """Mean of the values of some of the people."""
        return interval(values, self.measured.anatomy[who], self.measured.seed)

    def drifts(self) -> list[dict[str, Any]]:
        """A row for each group, and for what each lesion adds in the same people: where output and truth lie
        along the pattern, from the template on, and the difference.
        """
        at = {
            name: [along(self.between(which, TEMPLATE, c), self.d_R) for c in range(len(CIRCUMSTANCES))]
            for name, which in (("output", MADE), ("truth", TRUTH))
        }
        who = {kind: self.measured.kind == kind for kind in KINDS}
        rows = [
            self._row(k, own, {n: by_c[0] for n, by_c in at.items()}) for k, own in who.items() if own.any()
        ]
        for c, lesion in enumerate(LESIONS, start=1):
            added = {name: by_circumstance[c] - by_circumstance[0] for name, by_circumstance in at.items()}
            own = np.isfinite(added["output"])
            rows.append(self._row(f"{ADDED}{lesion} adds, healthy", own, added))
        return rows

    def _row(self, people: str, own: NDArray[np.bool_], at: Mapping[str, Floats]) -> dict[str, Any]:
        values = {"drift": at["output"] - at["truth"], **at}
        intervals = {name: shown(self.interval(v[own], own)) for name, v in values.items()}
        return {"people": people, "n": int(own.sum()), **intervals}

    def slopes(self) -> dict[str, Interval | None]:
        """Of synthesised on true deviations from the template: 1 is faithful, 0 always the mean."""
        true_NR, made_NR = self.between(TRUTH, TEMPLATE), self.between(MADE, TEMPLATE)
        true_N, made_N = along(true_NR, self.d_R), along(made_NR, self.d_R)
        anatomy, seed = self.measured.anatomy, self.measured.seed
        return {
            "along the pattern": interval_of(lambda rows: slope(true_N[rows], made_N[rows]), anatomy, seed),
            "all ROIs": interval_of(lambda rows: slope(true_NR[rows], made_NR[rows]), anatomy, seed),
        }


def _findings(
    modality: Modality, rows: Sequence[Mapping[str, Any]], slopes: Mapping[str, Interval | None]
) -> list[str]:
    def verdict(row: Mapping[str, Any]) -> str:
        added = row["people"].startswith(ADDED)
        value, what = row["output" if added else "drift"], "move" if added else "drift"
        if row["n"] < FEWEST:
            said = f"{row['n']} people are too few to tell of a drift"
        elif value[1] <= 0 <= value[2]:
            said = f"outputs do not {what} along the pattern of the disease"
        else:
            said = f"outputs {what} {'toward' if value[0] > 0 else 'away from'} the pattern of the disease"
        beside = f"; the truth by {text(row['truth'])}" if added else ""
        return f"{modality.value}, {row['people']}: {said} (by {text(value)}{beside}; 1 is all of it)."

    return [
        *(verdict(row) for row in rows if row["drift"]),
        *(
            f"{modality.value}: slope of synthesised on true deviations, {name}: {text(value)}."
            for name, value in slopes.items()
        ),
    ]


def _chart(modality: Modality, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "forest",
        "title": f"Drift toward the pattern of the disease, {modality.value}",
        "caption": "Synthesised minus true ROI means on the axis of the pattern; 1 is all of the disease.",
        "data": {
            "x_label": "drift",
            "reference": 0,
            "series": {row["people"]: row["drift"] for row in rows if row["drift"]},
        },
    }
