"""The acquired side, start to finish: reduce a series, align it, carry it to the model grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume, load_volume
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.quality import require_success
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.registration import Alignment, add_warp, align, align_rigid, to_model
from pds_bids.prep.resampling import resample
from pds_bids.prep.series import check_geometry, finite

FULL_COVERAGE = 0.90


@dataclass(frozen=True)
class Prepared:
    """Everything synthesis, derivatives and report need from the acquired side.

    Attributes
    ----------
    reference
        Mean volume, native grid, scanner units.
    mask
        Brain (0 or 1), native grid.
    model
        Masked source on `MODEL_GRID`, scanner units: intensity is not scaled yet.
    model_mask
        Brain (0 or 1) on `MODEL_GRID`.
    alignment
        The way between the spaces.
    facts
        JSON-able account, for sidecars.
    warnings
        Sentences for the user.
    """

    reference: Volume
    mask: Volume
    model: Volume
    model_mask: Volume
    alignment: Alignment
    facts: dict[str, Any]
    warnings: tuple[str, ...]


def prepare(reduced: Reduced, t1w: Path | None, work_dir: Path, config: PrepConfig) -> Prepared:
    """Align a reduced series and carry it to the model grid.

    Parameters
    ----------
    reduced
        From `reduce_bold` or `reduce_dwi`.
    t1w
        The subject's T1w image, or None.
    work_dir
        Receives the displacement fields.

    Raises
    ------
    ParticipantError
        Naming the series: a partial brain, or a registration that failed.
    """
    reference = reduced.volume
    head = None if t1w is None else load_head(t1w)
    alignment, mask, warnings = align(reference, brain_mask(reference, reduced.path), head, config)
    require_success(reduced.path, alignment.quality)
    share = alignment.quality["coverage"]
    if share < FULL_COVERAGE:
        warnings += (
            f"the field of view covers {share:.0%} of the template brain: nothing is known outside it",
        )
    model_mask = to_model(mask, alignment)
    model_mask = model_mask.like(model_mask.data > 0.5)
    model = model_mask.like(to_model(reference, alignment, "bspline").data.clip(0) * model_mask.data)
    alignment = add_warp(alignment, model, work_dir, config)
    facts = reduced.facts | {
        "alignment": {name: round(value, 4) for name, value in alignment.quality.items()}
    }
    return Prepared(reference, mask, model, model_mask, alignment, facts, reduced.warnings + warnings)


def align_reference(reference: Volume, mask: Volume, prepared: Prepared, config: PrepConfig) -> Volume:
    """Carry a second acquired modality to the source's model space, for scoring only.

    It is aligned to the source rigidly and follows the source's own affine, so that nothing of it reaches the
    synthesis: both maps make one resampling.

    Parameters
    ----------
    reference, mask
        Mean volume of the other modality and its brain mask, on their own grid.
    prepared
        The source.

    Returns
    -------
    Volume
        On `MODEL_GRID`, scanner units, unmasked: the scores use the source's mask.
    """
    to_source = align_rigid(prepared.reference, prepared.mask, reference, mask, config)
    matrix = prepared.alignment.to_model @ to_source
    moved = resample(reference, MODEL_GRID, matrix, "bspline", space=MODEL_SPACE)
    return moved.like(moved.data.clip(0))


def load_head(path: Path) -> Volume:
    """Load a T1w image, refusing broken ones.

    Raises
    ------
    ParticipantError
        If it cannot be read, is no 3D image of a head, or is full of NaN.
    """
    volume = load_volume(path)
    check_geometry(path, volume.affine, volume.data.shape)
    return volume.like(
        finite(volume.data, path, "the image").clip(0, float(np.nanpercentile(volume.data, 99.8)))
    )
