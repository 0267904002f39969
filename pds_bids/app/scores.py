"""`--evaluate`: a synthesised volume against the acquired one, beside two things that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.evaluation.metrics import coverage, mae, psnr, ssim
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import Prepared, align_reference

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
    """One row per candidate, inside the mask of the reference.

    PSNR is in dB with range 2, MAE in units of the brain's median. `coverage_80` is the share of voxels whose
    error lies in the 80 % interval that the candidate's sd promises: 0.8 where the sd is honest, less where
    it is too small, None without one.
    """
    mask = reference.mask.data > 0
    truth = reference.volume.data
    return [
        {
            "target": target.value,
            "method": name,
            "psnr_db": round(psnr(volume.data, truth, mask), 2),
            "ssim": round(ssim(volume.data, truth, mask), 4),
            "mae": round(mae(volume.data, truth, mask), 4),
            "coverage_80": round(coverage(volume.data - truth, sd.data, mask, 0.8), 3) if sd else None,
            "n_voxels": int(np.count_nonzero(mask)),
        }
        for name, volume, sd in candidates
    ]
