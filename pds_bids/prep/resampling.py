"""One interpolation through one affine map."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Grid, Volume
from pds_bids.prep.conversion import Matrix

Interpolation = Literal["nearest", "linear", "bspline"]

RIM_VOXELS = 16
"""What lies further off weighs less than 1e-8 in a cubic spline, and nothing in a Gaussian of 4 voxels."""

ORDERS: dict[Interpolation, int] = {"nearest": 0, "linear": 1, "bspline": 3}


def resample(
    volume: Volume,
    grid: Grid,
    to_target: Matrix,
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
        Value beyond the field of view: 0 (`constant`) or that of the nearest voxel. Voxels have extent: the
        field of view ends half a voxel beyond the outermost centres, as in ITK.

    Returns
    -------
    Volume
        On `grid`.
    """
    from scipy import ndimage

    to_voxel = np.linalg.inv(to_target @ volume.affine) @ grid.affine
    data = ndimage.affine_transform(
        volume.data, to_voxel[:3, :3], to_voxel[:3, 3], grid.shape,
        output=np.float32, order=ORDERS[interpolation], mode="nearest",
    )  # fmt: skip
    if outside == "constant":
        data *= field_of_view(volume.grid, grid, to_target)
    if interpolation == "bspline":
        data = data.clip(min(0.0, volume.data.min()), volume.data.max())
    return Volume(data, grid.affine.copy(), space)


def field_of_view(source: Grid, target: Grid, to_target: Matrix) -> NDArray[np.bool_]:
    """Which voxels of `target` lie inside the box of `source`: (X, Y, Z) bool."""
    to_voxel = np.linalg.inv(to_target @ source.affine) @ target.affine
    x, y, z = np.ogrid[tuple(slice(n) for n in target.shape)]
    inside = np.ones(target.shape, bool)
    for row, length in zip(to_voxel[:3], source.shape, strict=True):
        position = row[0] * x + row[1] * y + row[2] * z + row[3]
        inside &= (position >= -0.5) & (position <= length - 0.5)
    return inside


def part_seen(volume: Volume, grid: Grid, to_target: Matrix) -> Volume:
    """The part of a volume that decides what another grid shows of it, with a rim for filters and splines."""
    corners = np.array(list(product(*((0, n - 1) for n in grid.shape))))
    to_voxel = np.linalg.inv(to_target @ volume.affine) @ grid.affine
    voxels = corners @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    shape = np.array(volume.grid.shape)
    first = (np.floor(voxels.min(0)).astype(int) - RIM_VOXELS).clip(0, shape - 1)
    last = (np.ceil(voxels.max(0)).astype(int) + RIM_VOXELS).clip(first, shape - 1)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    data = volume.data[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    return replace(volume, data=data, affine=affine)


def isotropic_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The same box with the same axes in cubic voxels of `spacing_mm`."""
    extent_mm = np.array(grid.shape) * grid.voxel_mm
    x, y, z = (int(n) for n in np.ceil(extent_mm / spacing_mm))
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
