"""Did the registration succeed? Numbers, and the limits beyond which it did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import MODEL_GRID, Volume
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.resampling import resample

MIN_COVERAGE = 0.60
MIN_DICE = 0.75
SCALE_LIMITS = (0.7, 1.4)


def overlap(mask: Volume, to_model: NDArray[np.float64]) -> float:
    """Dice coefficient of a native mask with the template's, on the model grid."""
    moved = resample(mask, MODEL_GRID, to_model, space="model").data > 0.5
    brain = template_mask().data > 0
    return float(2 * (moved & brain).sum() / max(int(moved.sum() + brain.sum()), 1))


def coverage(reference: Volume, to_model: NDArray[np.float64]) -> float:
    """Fraction of the template's brain inside the field of view (slices of zeros are not part of it)."""
    seen = np.zeros(reference.data.shape, np.float32)
    filled = np.nonzero(reference.data)
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in filled)
    seen[box] = 1.0
    # Half a voxel of each border voxel lies outside the lattice of centres: nearest keeps it.
    moved = resample(reference.like(seen), MODEL_GRID, to_model, "nearest", space="model").data > 0
    brain = template_mask().data > 0
    return float((moved & brain).sum() / brain.sum())


def affine_quality(reference: Volume, mask: Volume, to_model: NDArray[np.float64]) -> dict[str, float]:
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

    from pds_bids.prep.conversion import grid_image

    jacobian = ants.create_jacobian_determinant_image(grid_image(MODEL_GRID), str(field)).numpy()
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
    low, high = SCALE_LIMITS
    if quality["determinant"] <= 0 or quality["scale_min"] < low or quality["scale_max"] > high:
        scales = f"{quality['scale_min']:.2f}-{quality['scale_max']:.2f}"
        raise ParticipantError(
            path, f"registration to the template needs implausible scales ({scales})", "check image and affine"
        )
    if quality["dice"] < MIN_DICE:
        raise ParticipantError(
            path,
            f"registration to the template failed (Dice {quality['dice']:.2f})",
            "check that the image shows a whole head the right way up",
        )
