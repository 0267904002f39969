"""Brain masks: a first one from the image alone, a better one once the template is registered."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Volume
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.resampling import resample

MIN_BRAIN_ML = 150.0
"""Less than a sixth of a small brain: the histogram held no brain to find."""

GAP_SHARE = 0.02
"""Of all voxels: so many, thinly spread, lie between air and brain. Which two of them lie furthest apart,
nilearn's own threshold, is chance: noise of a thousandth changed a real mask by 6 % (ADR 16)."""

LEAST_DARK = 0.20
MOST_DARK = (0.85, 0.97)
"""Of all voxels: what is not brain. The most in a usual field of view and in a wide one."""

LEAST_BRIGHT_ML = 900.0
"""What a wide field of view has left for the brain."""

SMOOTHING_VOXELS = 0.42
"""Standard deviation: one voxel of full width at half maximum, which nilearn smooths by, too."""

INNER_MM = 6.0
OUTER_MM = 5.0


def brain_mask(reference: Volume, path: Path | None = None) -> Volume:
    """First estimate of the brain: above the widest gap of the histogram, opened (nilearn's EPI mask).

    Parameters
    ----------
    reference
        Mean volume with signal in the brain and little around it.
    path
        Named in errors.

    Returns
    -------
    Volume
        0 or 1 on the grid of `reference`.

    Raises
    ------
    ParticipantError
        If the image is constant or shows nothing like a brain.
    """
    import nibabel as nb
    from nilearn.masking import MaskWarning, compute_epi_mask
    from scipy import ndimage

    where = path or "reference"
    if np.ptp(reference.data) == 0:
        raise ParticipantError(where, "the volume is constant", "export the image again")
    smooth = reference.like(ndimage.gaussian_filter(reference.data, SMOOTHING_VOXELS))
    bright = (smooth.data > gap_of_histogram(smooth)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskWarning)  # an empty mask is an error below
        image = compute_epi_mask(nb.Nifti1Image(bright, reference.affine), lower_cutoff=0.0, upper_cutoff=1.0)
    mask = reference.like(np.asarray(image.dataobj) > 0)
    millilitres = volume_ml(mask)
    if millilitres < MIN_BRAIN_ML:
        raise ParticipantError(
            where,
            f"only {millilitres:.0f} ml look like brain",
            "check that this is a head, in the right units",
        )
    return mask


def gap_of_histogram(volume: Volume) -> float:
    """Middle of the widest range of intensities that holds no more than `GAP_SHARE` of the voxels.

    Examples
    --------
    >>> data = np.repeat(np.float32([0, 100]), [700, 300]).reshape(10, 10, 10)
    >>> float(gap_of_histogram(Volume(data, np.eye(4))))
    50.0
    """
    ranked = np.sort(volume.data, axis=None)
    dark = 1 - LEAST_BRIGHT_ML / (ranked.size * voxel_ml(volume))
    first, last = (int(share * len(ranked)) for share in (LEAST_DARK, np.clip(dark, *MOST_DARK)))
    width = max(1, int(GAP_SHARE * len(ranked)))
    ends = ranked[first:last], ranked[first + width : last + width]
    widest = int((ends[1] - ends[0]).argmax())
    return (ends[0][widest] + ends[1][widest]) / 2


def refine_mask(mask: Volume, to_model: Matrix) -> Volume:
    """Correct a first mask with the registered template mask.

    Between the template mask shrunk by 6 mm (surely brain) and the one grown by 5 mm (surely not beyond) the
    image decides.

    Parameters
    ----------
    mask
        First estimate, native grid.
    to_model
        (4, 4) native world -> model world.
    """
    from scipy import ndimage

    distance = template_distance(mask, to_model)
    inner, outer = distance.data < -INNER_MM, distance.data < OUTER_MM
    # Opening drops the strands (vessels, nerves, eyes) that the histogram takes for brain.
    candidate = ndimage.binary_opening(((mask.data > 0) & outer) | inner) | inner
    return mask.like(ndimage.binary_fill_holes(_largest_part(candidate)))


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax()) & mask


def template_distance(like: Volume, to_model: Matrix) -> Volume:
    """Signed distance (model mm, negative inside) to the edge of the template's brain, on a native grid."""
    return resample(
        _model_distance(), like.grid, np.linalg.inv(to_model), space=like.space, outside="nearest"
    )


@cache
def _model_distance() -> Volume:
    from scipy import ndimage

    inside = template_mask().data > 0
    spacing = template_mask().grid.voxel_mm
    outwards, inwards = (ndimage.distance_transform_edt(part, spacing) for part in (~inside, inside))
    return template_mask().like(outwards - inwards)


def volume_ml(mask: Volume) -> float:
    """Volume of a mask in millilitres."""
    return float(mask.data.sum() * voxel_ml(mask))


def voxel_ml(volume: Volume) -> float:
    """Size of a voxel in millilitres."""
    return float(np.abs(np.linalg.det(volume.affine[:3, :3])) / 1000)


def grow(mask: Volume, distance_mm: float) -> Volume:
    """Everything within a distance of the mask, the mask included."""
    from scipy import ndimage

    return mask.like(ndimage.distance_transform_edt(mask.data == 0, mask.grid.voxel_mm) <= distance_mm)
