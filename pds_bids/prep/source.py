"""The acquired side, start to finish: reduce a series, align it, carry it to the model grid."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.prep.anatomy import t1w_context
from pds_bids.prep.failures import failures_of
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.orientation import canonical, stored_on
from pds_bids.prep.quality import beyond_limits, filled_grid, require_success, signal_to_noise
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.reference import load_still
from pds_bids.prep.registration import Alignment, add_warp, align, align_rigid, to_model
from pds_bids.prep.resampling import field_of_view, resample
from pds_bids.prep.series import HEADER_WARNINGS

NO_CONTEXT = "the T1w image shows too little of the brain: it served the alignment, the model did without it"


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
    t1w
        Masked, bias-corrected T1w image on `MODEL_GRID`, scanner units, its median in the mask positive; None
        unless one showed the way there and shows enough of the brain.
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
    t1w: Volume | None
    alignment: Alignment
    facts: dict[str, Any]
    warnings: tuple[str, ...]


def prepare(
    reduced: Reduced, t1w: Path | None, work_dir: Path, config: PrepConfig, *, warp: bool = True
) -> Prepared:
    """Align a reduced series and carry it to the model grid.

    Parameters
    ----------
    reduced
        From `reduce_bold` or `reduce_dwi`.
    t1w
        The subject's T1w image, or None; a broken one is left out with a warning.
    work_dir
        Receives the displacement fields.
    warp
        Whether to estimate SyN to the atlas: without it `alignment.syn` is empty and `to_atlas` not for use.

    Raises
    ------
    ParticipantError
        Naming the series: no signal, a partial brain, or a registration that failed.
    TemporaryError
        If the disk is full.
    """
    notes = tuple(text for text in reduced.warnings if text in HEADER_WARNINGS)
    with failures_of(reduced.path, notes):
        prepared = _prepare(reduced, t1w, config)
        if warp:
            alignment = add_warp(prepared.alignment, prepared.model, work_dir, config)
            facts = prepared.facts | _quality_facts(alignment)
            prepared = replace(prepared, alignment=alignment, facts=facts)
    return replace(prepared, warnings=prepared.warnings + beyond_limits(prepared.facts))


def _prepare(reduced: Reduced, t1w: Path | None, config: PrepConfig) -> Prepared:
    """Everything but SyN: estimated in canonical axes, native results in those of the series."""
    reference, stored = canonical(reduced.volume), reduced.volume.grid
    head, unused = _usable_head(t1w)
    first = canonical(reduced.mask) if reduced.mask else brain_mask(reference, reduced.path)
    alignment, mask, found = align(reference, first, head, config)
    require_success(reduced.path, alignment.quality)
    model_mask = to_model(mask, alignment)
    model_mask = model_mask.like(model_mask.data > 0.5)
    model = model_mask.like(to_model(reference, alignment, "bspline").data.clip(0) * model_mask.data)
    if not np.median(model.data[model_mask.data > 0]) > 0:
        raise ParticipantError(
            reduced.path, "has no signal in most of the brain", "check the image and its scaling"
        )
    context, unseen = _context(head, alignment, model_mask, config)
    return Prepared(
        reduced.volume,
        stored_on(mask, stored),
        model,
        model_mask,
        context,
        replace(alignment, grid=stored),
        reduced.facts | _quality_facts(alignment) | _noise_facts(reference, mask),
        reduced.warnings + unused + found + unseen,
    )


def _usable_head(t1w: Path | None) -> tuple[Volume | None, tuple[str, ...]]:
    """The T1w image if there is a sound one, and what was wrong with it if not."""
    if t1w is None:
        return None, ()
    try:
        return load_head(t1w), ()
    except ParticipantError as error:
        return None, (f"{t1w.name}: {error.fault}; the source went to the template directly",)


def _context(
    head: Volume | None, alignment: Alignment, model_mask: Volume, config: PrepConfig
) -> tuple[Volume | None, tuple[str, ...]]:
    """The T1w image for the networks if it showed the way, and a warning if it is of no use to them."""
    if head is None or alignment.t1w_to_model is None:
        return None, ()
    context: Volume | None = None
    with suppress(ParticipantError), failures_of("the T1w image"):  # they do without; not so with a full disk
        context = t1w_context(head, alignment.t1w_to_model, model_mask, config)
    return context, () if context else (NO_CONTEXT,)


def _quality_facts(alignment: Alignment) -> dict[str, dict[str, float]]:
    return {"alignment": {name: round(value, 4) for name, value in alignment.quality.items()}}


def _noise_facts(reference: Volume, mask: Volume) -> dict[str, float]:
    snr = signal_to_noise(reference, mask)
    return {} if snr is None else {"snr": round(snr, 2)}


def align_reference(
    reference: Volume, mask: Volume, prepared: Prepared, config: PrepConfig
) -> tuple[Volume, Volume]:
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
    moved
        On `MODEL_GRID`, scanner units, unmasked: the scores use the source's mask.
    inside
        1 where the field of view of the reference reaches, 0 beyond; voxels without signal inside it count.

    Raises
    ------
    ParticipantError
        If it cannot be registered.
    TemporaryError
        If the disk is full.
    """
    with failures_of("the reference for scoring"):
        to_source = align_rigid(
            canonical(prepared.reference),
            canonical(prepared.mask),
            canonical(reference),
            canonical(mask),
            config,
        )
    matrix = prepared.alignment.to_model @ to_source
    moved = resample(canonical(reference), MODEL_GRID, matrix, "bspline", space=MODEL_SPACE)
    inside = field_of_view(filled_grid(reference), MODEL_GRID, matrix)
    return moved.like(moved.data.clip(0) * inside), moved.like(inside)


def load_head(path: Path) -> Volume:
    """Load a T1w image in canonical axes, refusing broken ones.

    Raises
    ------
    ParticipantError
        If it cannot be read, is complex, constant, no 3D image of a head, or is full of NaN.
    """
    volume = load_still(path)
    data = volume.data.clip(0, max(float(np.percentile(volume.data, 99.8)), 0.0))
    if np.ptp(data) == 0:
        raise ParticipantError(path, "the image is constant", "export it again")
    return canonical(volume.like(data))
