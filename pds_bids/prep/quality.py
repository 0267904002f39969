"""Is the source sound, did the registration succeed? Numbers, and the limits beyond which they warn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import MODEL_GRID, Grid, Volume
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.conversion import Matrix, grid_image
from pds_bids.prep.resampling import field_of_view, resample
from pds_bids.prep.scratch import linked, scratch_folder

MIN_COVERAGE = 0.60
MIN_DICE = 0.75
SCALE_LIMITS = (0.7, 1.4)
MAX_STRETCH = 1.35
"""Largest over smallest scale: real heads needed up to 1.31, a slab pulled over the whole template 1.75."""


class Limit(NamedTuple):
    """What is usual of a measure, and what to do about a value beyond: a warning, never a refusal."""

    low: float
    high: float
    said: str


LIMITS: Mapping[str, Limit] = {
    "coverage": Limit(
        0.90, 1.0, "the field of view covers {:.0%} of the template brain: nothing is known outside it"
    ),
    "dice": Limit(
        0.90, 1.0, "brain mask and template overlap little (Dice {:.2f}): look at mask and alignment"
    ),
    "jacobian_min": Limit(
        0.2, np.inf, "the warp to the atlas shrinks a place {:.2f}-fold: look at the alignment"
    ),
    "jacobian_max": Limit(
        0.0, 5.0, "the warp to the atlas stretches a place {:.1f}-fold: look at the alignment"
    ),
    "max_displacement_mm": Limit(
        0.0, 3.0, "the head moved by up to {:.1f} mm: expect blur, and signal lost or distorted"
    ),
    "snr": Limit(10.0, np.inf, "the signal is only {:.1f} times the noise: expect a worse synthesis"),
}
"""Ten real scans of whole brains: a Dice of 0.94 to 0.96, determinants of 0.4 to 2.5, an SNR of 18 to 44."""


def beyond_limits(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each measure, among the facts of preprocessing, that lies beyond its limits.

    >>> beyond_limits({"snr": 4.0, "alignment": {"dice": 0.95}})
    ('the signal is only 4.0 times the noise: expect a worse synthesis',)
    """
    measures = facts | facts["alignment"]
    return tuple(
        limit.said.format(measures[name])
        for name, limit in LIMITS.items()
        if name in measures and not limit.low <= measures[name] <= limit.high
    )


def signal_to_noise(reference: Volume, mask: Volume) -> float | None:
    """Median of the brain over the noise in it; None where the brain is too small to tell.

    The noise is the median size of the finest diagonal Haar coefficients, which hold little else (Donoho and
    Johnstone 1994, Biometrika 81:425): no air around the head is needed, which many scanners blank.
    """
    detail, inside = reference.data.astype(np.float64), mask.data > 0
    for axis in range(3):
        even, odd = _pairs(detail, axis)
        detail = (even - odd) / np.sqrt(2)
        inside = np.logical_and(*_pairs(inside, axis))
    if not inside.any():
        return None
    noise = np.median(np.abs(detail[inside])) / 0.6745
    return float(np.median(reference.data[mask.data > 0]) / max(noise, 1e-12))


def _pairs(data: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every second slice along an axis, and its neighbour."""
    moved = np.moveaxis(data, axis, 0)
    n = len(moved) // 2 * 2
    return np.moveaxis(moved[0:n:2], 0, axis), np.moveaxis(moved[1:n:2], 0, axis)


def overlap(mask: Volume, to_model: Matrix) -> float:
    """Dice coefficient of a native mask with the template's, on the model grid."""
    moved = resample(mask, MODEL_GRID, to_model, space="model").data > 0.5
    brain = template_mask().data > 0
    return float(2 * (moved & brain).sum() / max(int(moved.sum() + brain.sum()), 1))


def filled_grid(reference: Volume) -> Grid:
    """The field of view without the slices of zeros at its edges."""
    filled = reference.data > 0
    slices = [np.flatnonzero(filled.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    first, last = np.array([(where[0], where[-1]) for where in slices]).T
    affine = reference.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    x, y, z = (int(n) for n in last - first + 1)
    return Grid((x, y, z), affine)


def coverage(reference: Volume, to_model: Matrix) -> float:
    """Fraction of the template's brain inside the field of view."""
    seen = field_of_view(filled_grid(reference), MODEL_GRID, to_model)
    return float(seen[template_mask().data > 0].mean())


def affine_quality(reference: Volume, mask: Volume, to_model: Matrix) -> dict[str, float]:
    """How well and how plausibly a native volume sits on the template."""
    linear = to_model[:3, :3]
    scales = np.linalg.svd(linear, compute_uv=False)
    upper = np.linalg.qr(linear, mode="r")
    shear = upper / np.diag(upper)[:, None]
    return {
        "dice": overlap(mask, to_model),
        "coverage": coverage(reference, to_model),
        "scale_max": float(scales[0]),
        "scale_min": float(scales[-1]),
        "shear": float(np.abs(np.triu(shear, 1)).max()),
        "determinant": float(np.linalg.det(linear)),
    }


def warp_quality(field: Path) -> dict[str, float]:
    """Range of the Jacobian determinant of a displacement field inside the template's brain."""
    import ants

    with scratch_folder() as folder:
        (link,) = linked([field], folder)
        jacobian = ants.create_jacobian_determinant_image(grid_image(MODEL_GRID), str(link)).numpy()
    low, high = np.percentile(jacobian[template_mask().data > 0], (0.1, 99.9))
    return {"jacobian_min": float(low), "jacobian_max": float(high)}


def require_success(path: Path, quality: dict[str, float]) -> None:
    """Raise `ParticipantError` for a partial brain or a registration that went astray."""
    if quality["coverage"] < MIN_COVERAGE:
        raise ParticipantError(
            path,
            f"the field of view covers {quality['coverage']:.0%} of the template brain",
            f"a scan that covers at least {MIN_COVERAGE:.0%} is needed",
        )
    stretch = quality["scale_max"] / max(quality["scale_min"], 1e-6)
    if stretch > MAX_STRETCH:
        raise ParticipantError(
            path,
            f"shows only part of the brain: to fill the template it had to be stretched {stretch:.2f} times",
            f"a scan that covers at least {MIN_COVERAGE:.0%} of the brain is needed",
        )
    low, high = SCALE_LIMITS
    if quality["determinant"] <= 0 or quality["scale_min"] < low or quality["scale_max"] > high:
        scales = f"{quality['scale_min']:.2f}-{quality['scale_max']:.2f}"
        raise ParticipantError(
            path,
            f"registration to the template needs implausible scales ({scales})",
            "check image and affine",
        )
    if quality["dice"] < MIN_DICE:
        raise ParticipantError(
            path,
            f"registration to the template failed (Dice {quality['dice']:.2f})",
            "check that the image shows a whole head the right way up",
        )
