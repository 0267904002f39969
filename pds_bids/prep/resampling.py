"""One interpolation through one affine map."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Grid, Volume

Interpolation = Literal["nearest", "linear", "bspline"]

ORDERS: dict[Interpolation, int] = {"nearest": 0, "linear": 1, "bspline": 3}


def resample(
    volume: Volume,
    grid: Grid,
    to_target: NDArray[np.float64],
    interpolation: Interpolation = "linear",
    *,
    space: str,
    outside: Literal["constant", "nearest"] = "constant",
) -> Volume:
    """Carry a volume onto another grid.

    Parameters
    ----------
    volume
        On any grid, sheared or not.
    grid
        The grid of the result.
    to_target
        (4, 4) world of `volume` -> world of `grid`, RAS mm.
    interpolation
        Cubic splines are clipped to the range of the input: they would overshoot at edges.
    space
        Recorded in the result.
    outside
        Value beyond the field of view: 0 (`constant`) or that of the nearest voxel.

    Returns
    -------
    Volume
        On `grid`.
    """
    from scipy import ndimage

    to_voxel = np.linalg.inv(to_target @ volume.affine) @ grid.affine
    data = ndimage.affine_transform(
        volume.data, to_voxel[:3, :3], to_voxel[:3, 3], grid.shape,
        output=np.float32, order=ORDERS[interpolation], mode=outside,
    )  # fmt: skip
    if interpolation == "bspline":
        data = data.clip(min(0.0, volume.data.min()), volume.data.max())
    return Volume(data, grid.affine.copy(), space)


def isotropic_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The same box with the same axes in cubic voxels of `spacing_mm`."""
    extent_mm = np.array(grid.shape) * grid.voxel_mm
    x, y, z = (int(n) for n in np.maximum(np.ceil(extent_mm / spacing_mm), 1))
    axes = grid.affine[:3, :3] / grid.voxel_mm
    corner = grid.affine[:3, 3] - grid.affine[:3, :3] @ np.full(3, 0.5)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = corner + axes @ np.full(3, spacing_mm / 2)
    return Grid((x, y, z), affine)


def coarsen(volume: Volume, spacing_mm: float) -> Volume:
    """A smoothed copy in cubic voxels of `spacing_mm`, for estimating transforms quickly."""
    from scipy import ndimage

    grid = isotropic_grid(volume.grid, spacing_mm)
    # Half the new voxel as sd keeps what the coarse lattice can hold; none where the axis is coarse already.
    sigma = np.where(volume.grid.voxel_mm < spacing_mm, 0.5 * spacing_mm / volume.grid.voxel_mm, 0.0)
    smooth = volume.like(ndimage.gaussian_filter(volume.data, sigma))
    return resample(smooth, grid, np.eye(4), space=volume.space, outside="nearest")
