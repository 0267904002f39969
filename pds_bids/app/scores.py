"""`--evaluate`: a synthesised volume against the acquired one, beside two things that need no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.evaluation.metrics import coverage, mae, nmi, psnr, sharpness, ssim
from pds_bids.evaluation.uncertainty import normal_crps
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import Prepared, align_reference

MAIN, TEMPLATE, SOURCE = "pds", "population template", "registered source"
"""Names of the candidates: what the app has written, and two things that need no network."""


class Metric(NamedTuple):
    """How a metric is told: heading of its column, decimal places, and what it is."""

    heading: str
    decimals: int
    meaning: str


METRICS: Mapping[str, Metric] = {
    "psnr_db": Metric("PSNR (dB)", 2, "Peak signal-to-noise ratio in dB, with a fixed range of 2"),
    "ssim": Metric("SSIM", 4, "Three-dimensional structural similarity, averaged over the mask; at most 1"),
    "mae": Metric("MAE (brain median = 1)", 4, "Mean absolute error; the median of the brain is 1"),
    "nmi": Metric("NMI", 4, "Normalised mutual information, from 0 to 1; it ignores contrast"),
    "sharpness": Metric(
        "Sharpness (as acquired: 1)", 3, "Power at periods of 5 to 10 mm over that of the acquired volume"
    ),
    "coverage_80": Metric(
        "Share inside the 80 % interval (honest: 0.8)",
        3,
        "Share of errors inside the interval said to hold 80 %",
    ),
    "coverage_90": Metric(
        "Share inside the 90 % interval (honest: 0.9)",
        3,
        "Share of errors inside the interval said to hold 90 %",
    ),
    "crps": Metric(
        "CRPS (brain median = 1)",
        4,
        "Continuous ranked probability score of estimate and uncertainty; 0 is best",
    ),
}
"""Everything that is measured, inside the mask of the reference."""

Score = dict[str, str | float | None]
"""Name and value of each number about one candidate."""


@dataclass(frozen=True)
class Reference:
    """The acquired target in the source's model space.

    Attributes
    ----------
    volume
        Relative units, masked.
    mask
        Where it is scored: the source's brain mask, as far as the reference's field of view reaches.
    """

    volume: Volume
    mask: Volume


class Candidate(NamedTuple):
    """What is scored: relative units on the model grid, with the standard deviation of its error if known."""

    method: str
    volume: Volume
    sd: Volume | None = None


def scoring_reference(acquired: Reduced, prepared: Prepared, config: PrepConfig) -> Reference:
    """Carry the acquired target to the source's model space; nothing of it reaches the synthesis.

    Raises
    ------
    ParticipantError
        If it does not overlap with the source.
    """
    mask = brain_mask(acquired.volume, acquired.path)
    moved, reach = align_reference(acquired.volume, mask, prepared, config)
    inside = prepared.model_mask.like((prepared.model_mask.data > 0) & (reach.data > 0))
    try:
        relative = IntensityScale.fit(moved, inside).relative(moved)
    except ValueError as error:
        raise ParticipantError(
            acquired.path, f"{error} of the source", "check that both scans show the same brain"
        ) from error
    return Reference(relative.like(relative.data * inside.data), inside)


def score(reference: Reference, candidates: Sequence[Candidate], target: Modality) -> list[Score]:
    """One row per candidate, with `METRICS` inside the mask of the reference.

    None where a metric does not apply: without an sd there is no coverage, and no sharpness beside a flat
    reference.
    """
    return [
        {
            "target": target.value,
            "method": candidate.method,
            **_measured(reference, candidate),
            "n_voxels": int(np.count_nonzero(reference.mask.data)),
        }
        for candidate in candidates
    ]


def _measured(reference: Reference, candidate: Candidate) -> dict[str, float | None]:
    mask, truth, volume = reference.mask.data > 0, reference.volume.data, candidate.volume.data
    values: dict[str, float] = {
        name: metric(volume, truth, mask)
        for name, metric in (
            ("psnr_db", psnr),
            ("ssim", ssim),
            ("mae", mae),
            ("nmi", nmi),
            ("sharpness", sharpness),
        )
    }
    if candidate.sd:
        error, sd = volume - truth, candidate.sd.data
        values |= {f"coverage_{level:.0f}": coverage(error, sd, mask, level / 100) for level in (80, 90)}
        values["crps"] = normal_crps(error, sd, mask)
    return {
        name: None if np.isnan(value := values.get(name, np.nan)) else round(value, metric.decimals)
        for name, metric in METRICS.items()
    }
