"""The ICBM template inside nilearn's wheel, on the model grid."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pds_bids.core.volume import ATLAS_SPACE, MODEL_GRID, Grid, Volume
from pds_bids.prep.resampling import resample

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

MASK_THRESHOLD = 0.5

FWHM_MM = 2.0


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


def _on_model_grid(image: Nifti1Image) -> Volume:
    """An image in voxels of 1 mm, smoothed, for a voxel of 2 mm holds the mean of those in it.

    The lattices share their points, so that smoothing and taking every other voxel is a matrix for each axis.
    """
    from scipy import ndimage

    whole = _load(image)
    sigma = FWHM_MM / math.sqrt(8 * math.log(2))
    first = (MODEL_GRID.affine - whole.affine)[:3, 3].astype(int)
    ways = []
    for start, size, n in zip(first, MODEL_GRID.shape, whole.data.shape, strict=True):
        taken = start + 2 * np.arange(size)
        inside = (taken >= 0) & (taken < n)
        smoothing = ndimage.gaussian_filter1d(np.eye(n, dtype=np.float32), sigma, axis=0)
        ways.append(smoothing[taken.clip(0, n - 1)] * inside[:, None].astype(np.float32))
    data = np.einsum("ia,jb,kc,abc->ijk", *ways, whole.data, optimize=True)
    return Volume(np.ascontiguousarray(data), MODEL_GRID.affine.copy(), ATLAS_SPACE)


def tissue_probabilities(grid: Grid) -> tuple[Volume, Volume, Volume]:
    """Grey matter, white matter and brain of the ICBM template in [0, 1] on a grid in atlas space."""
    from nilearn import datasets

    loaders = (
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
        datasets.load_mni152_brain_mask,
    )
    gm, wm, brain = (
        resample(_load(loader(resolution=1)), grid, np.eye(4), space=ATLAS_SPACE) for loader in loaders
    )
    return gm, wm, brain


def _load(image: Nifti1Image) -> Volume:
    return Volume(image.get_fdata(dtype=np.float32), image.affine, ATLAS_SPACE)
