"""A finished 3D image from disk: checked, and made a source as if a series had been reduced to it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Volume, load_volume, quiet_headers
from pds_bids.prep.bias import correct_bias
from pds_bids.prep.failures import failures_of
from pds_bids.prep.masking import MIN_BRAIN_ML, brain_mask, volume_ml
from pds_bids.prep.orientation import canonical, stored_on
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.series import check_geometry, complex_voxels, finite


def load_still(path: Path) -> Volume:
    """Load one 3D image of a head, axes as stored.

    Raises
    ------
    ParticipantError
        If it cannot be read, is complex, constant, no 3D image of a head, or is full of NaN.
    """
    with quiet_headers(), warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            volume = load_volume(path)
        except np.exceptions.ComplexWarning as error:
            raise complex_voxels(path) from error
    check_geometry(path, volume.affine, volume.data.shape)
    data = finite(volume.data, path, "the image")
    if np.ptp(data) == 0:
        raise ParticipantError(path, "the image is constant", "export it again")
    return volume.like(data)


def load_reference(path: Path, mask: Path | None, facts: dict[str, Any], config: PrepConfig) -> Reduced:
    """A mean volume that another pipeline made, its bias field removed like that of our own means.

    Parameters
    ----------
    path
        3D NIfTI.
    mask
        Its brain mask, or None; one that does not fit is left out with a warning.
    facts
        JSON-able account of where it comes from.

    Raises
    ------
    ParticipantError
        As `load_still`, or if nothing in it looks like a brain.
    """
    volume = load_still(path)
    volume = volume.like(volume.data.clip(0))
    brain, notes = _given_mask(mask, volume)
    with failures_of(path):
        mean = canonical(volume)
        inside = canonical(brain) if brain else brain_mask(mean, path)
        corrected = stored_on(correct_bias(mean, inside, config), volume.grid)
    return Reduced(path, corrected, facts | {"n_volumes": 1, "n_used": 1}, notes, brain)


def _given_mask(path: Path | None, volume: Volume) -> tuple[Volume | None, tuple[str, ...]]:
    """The mask as 0 and 1, and why it is left out where it is."""
    if path is None:
        return None, ()
    try:
        mask = load_still(path)
    except ParticipantError as error:
        return None, (f"{path.name}: {error.fault}; another mask was made",)
    mask = mask.like(mask.data > 0.5)
    if not mask.grid.matches(volume.grid) or volume_ml(mask) < MIN_BRAIN_ML:
        return None, (f"{path.name} does not fit the reference; another mask was made",)
    return mask, ()
