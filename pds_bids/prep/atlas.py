"""The ICBM template inside nilearn's wheel, on the model grid."""

from __future__ import annotations

from functools import cache

import numpy as np

from pds_bids.core.volume import ATLAS_SPACE, MODEL_GRID, Volume

MASK_THRESHOLD = 0.5


@cache
def template() -> Volume:
    """T1-weighted ICBM 2009a symmetric brain, skull removed, in [0, 1] on `MODEL_GRID`."""
    from nilearn.datasets import load_mni152_template

    return _on_model_grid(load_mni152_template(resolution=1))


@cache
def template_mask() -> Volume:
    """Brain mask of the template (0 or 1) on `MODEL_GRID`."""
    from nilearn.datasets import load_mni152_brain_mask

    mask = _on_model_grid(load_mni152_brain_mask(resolution=1))
    return mask.like(mask.data > MASK_THRESHOLD)


def _on_model_grid(image: object) -> Volume:
    from nilearn.image import resample_img, smooth_img

    # A voxel of 2 mm holds the mean of its 1 mm voxels: smooth before sampling.
    smooth = smooth_img(image, fwhm=2.0)
    resampled = resample_img(smooth, MODEL_GRID.affine, MODEL_GRID.shape, copy_header=True, force_resample=True)
    return Volume(resampled.get_fdata(dtype=np.float32), MODEL_GRID.affine.copy(), ATLAS_SPACE)
