"""Did the registration succeed? Numbers, and the limits beyond which it did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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


def overlap(mask: Volume, to_model: Matrix) -> float:
    """Dice coefficient of a native mask with the template's, on the model grid."""
    moved = resample(mask, MODEL_GRID, to_model, space="model").data > 0.5
    brain = template_mask().data > 0
    return float(2 * (moved & brain).sum() / max(int(moved.sum() + brain.sum()), 1))


def filled_grid(reference: Volume) -> Grid:
    """The field of view without the slices of zeros at its edges."""
    filled = np.argwhere(reference.data > 0)
    first, last = filled.min(axis=0), filled.max(axis=0)
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
