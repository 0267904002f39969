"""Whether intervals hold the share of the errors that they promise, in every tissue and every group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.chapter import Answer, Measured, shown, text
from pds_bids.app.experiments.kept import Arrays
from pds_bids.app.experiments.volunteers import KINDS, PLAIN, Volunteer
from pds_bids.app.methods import Outputs, refined
from pds_bids.core.modality import Modality
from pds_bids.evaluation.comparison import interval
from pds_bids.evaluation.metrics import coverage
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.models.refine import TISSUES

LEVELS = (0.5, 0.8, 0.9)

PLACES = ("all voxels", *TISSUES)

LEAST_VOXELS = 500
"""A share of fewer says nothing."""


def measure(volunteer: Volunteer) -> Arrays:
    """`coverage`: (M, P, L) by modality, place and level; NaN where a tissue is hardly there."""
    return {"coverage": np.array([_of(volunteer.outputs(PLAIN, target)) for target in range(len(Modality))])}


def _of(outputs: Outputs) -> list[list[float]]:
    made, mask, seen = refined(outputs), outputs.case.mask, seen_tissue(outputs)
    if made.sd is None:
        raise ValueError("a refined estimate has an uncertainty")
    error, sd = made.volume - outputs.case.truth, made.sd
    places = [mask, *(mask & (seen == tissue) for tissue in range(len(TISSUES)))]
    return [
        [coverage(error, sd, place, level) if place.sum() >= LEAST_VOXELS else np.nan for level in LEVELS]
        for place in places
    ]


def seen_tissue(outputs: Outputs) -> NDArray[np.int64]:
    """(X, Y, Z) position in `TISSUES` of what the network takes the source to show."""
    import torch

    source = 1 - outputs.batch.target
    bands = outputs.model.subbands.split(outputs.batch.images)
    with torch.inference_mode():
        logits = outputs.model.refiner.tissues(bands[:, int(source)], source)
    blocks: NDArray[np.int64] = logits[0].argmax(dim=0).cpu().numpy()
    return np.kron(blocks, np.ones((2, 2, 2), np.int64))


def answer(measured: Measured, model: PdsModel) -> Answer:
    """Tables by tissue and by group, and the calibration curves."""
    values = measured.arrays["coverage"]
    everybody = np.ones(len(values), bool)

    def row(k: int, p: int, who: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            f"{level:.0%}": shown(interval(values[who, k, p, q], measured.anatomy[who], measured.seed))
            for q, level in enumerate(LEVELS)
        }

    modalities = list(enumerate(Modality))
    tissues = [
        {"target": modality.value, "seen in the source": place, **row(k, p, everybody)}
        for k, modality in modalities
        for p, place in enumerate(PLACES)
    ]
    groups = [
        {"target": modality.value, "people": kind, "n": int(own.sum()), **row(k, 0, own)}
        for k, modality in modalities
        for kind in KINDS
        if (own := measured.kind == kind).any()
    ]
    tables = {
        "Share of the errors inside the interval, by tissue": tissues,
        "Share of the errors inside the interval, by group": groups,
    }
    findings = [_finding(modality, [r for r in tissues if r["target"] == modality]) for modality in Modality]
    return Answer(findings, tables, [_chart(modality, values[:, k]) for k, modality in modalities])


def _finding(modality: Modality, rows: list[dict[str, Any]]) -> str:
    level = f"{LEVELS[-1]:.0%}"
    whole, *parts = [row for row in rows if row[level]]
    least, most = (choose(parts, key=lambda row: float(row[level][0])) for choose in (min, max))
    ends = " and ".join(f"{row['seen in the source']} ({text(row[level])})" for row in (least, most))
    held = f"{level} intervals hold {text(whole[level])} of the errors"
    return f"{modality.value}: {held}; the extremes are {ends}."


def _chart(modality: Modality, values_NPL: NDArray[np.float64]) -> dict[str, Any]:
    seen = {place: values_NPL[:, p] for p, place in enumerate(PLACES) if np.isfinite(values_NPL[:, p]).any()}
    series = {place: np.nanmean(shares, axis=0).round(4).tolist() for place, shares in seen.items()}
    return {
        "kind": "calibration",
        "title": f"Calibration of the uncertainty, {modality.value}",
        "caption": "Mean share of the errors inside central intervals, by the tissue seen in the source.",
        "data": {"nominal": list(LEVELS), "series": series},
    }
