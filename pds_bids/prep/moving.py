"""A volume moved on its own grid, by a cubic spline along one axis after the other.

A rigid move is a product of three maps that change one coordinate each, as long as no axis is turned into
another (Catmull & Smith 1980): a new voxel is weighed from 3 x 4 of the old instead of 4 x 4 x 4. Each
coordinate is interpolated once, as in a spline over all of space, and as little is lost
(docs/adr/0017-moving.rst).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.resampling import resample

FARTHEST_TURN = np.deg2rad(8.0)
"""What turned further is moved in one step: what lies between the steps would be blurred."""

RIM_VOXELS = 8
"""Edges are repeated so often before the spline is fitted; what lies further off weighs 3e-5."""

PLANES = 16
"""Moved at once: what is computed for them stays in the processor's cache."""


def moved(volume: Volume, matrix: Matrix) -> Volume:
    """A volume carried to where it is seen to lie, on the same grid.

    Parameters
    ----------
    volume
        On any grid.
    matrix
        (4, 4) rigid, world of the volume as it is -> world as it shall be, RAS mm.

    Returns
    -------
    Volume
        Clipped to the range of the input, or to 0; beyond the field of view goes on what lies at its rim.
    """
    if np.array_equal(matrix, np.eye(4)):
        return volume
    if np.trace(matrix[:3, :3]) < 1 + 2 * np.cos(FARTHEST_TURN):
        return moved_at_once(volume, matrix)
    data = volume.data
    for axis, row in _steps(np.linalg.inv(matrix @ volume.affine) @ volume.affine, volume.grid.voxel_mm):
        data = _along(data, axis, row)
    clipped = data.clip(min(0.0, volume.data.min()), volume.data.max())
    return volume.like(np.ascontiguousarray(clipped))


def moved_at_once(volume: Volume, matrix: Matrix) -> Volume:
    """As `moved`, by one spline over all of space: for turns of any size, in four times the time."""
    return resample(volume, volume.grid, matrix, "bspline", space=volume.space, outside="nearest")


def _steps(to_voxel: Matrix, voxel_mm: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
    """Each axis with the row of the identity's that it takes: their product, in this order, is `to_voxel`.

    The longest voxels come first, while neighbouring lines still show neighbouring places.
    """
    found, rest = [], np.eye(4)
    for axis in np.argsort(voxel_mm, kind="stable"):
        step = np.eye(4)
        step[axis] = to_voxel[axis] @ np.linalg.inv(rest)
        rest = step @ rest
        found.append((int(axis), step[axis]))
    return found[::-1]


def _along(data: NDArray[np.float32], axis: int, row: NDArray[np.float64]) -> NDArray[np.float32]:
    """The value at x is that at x with the coordinate `axis` replaced by row @ (x, 1)."""
    from scipy import ndimage

    lines = np.moveaxis(data, axis, -1)
    m, n, length = lines.shape
    wide = np.pad(lines, ((0, 0), (0, 0), (RIM_VOXELS, RIM_VOXELS)), "edge")
    spline = ndimage.spline_filter1d(wide, 3, -1, np.float32, "mirror").ravel()
    before = (np.arange(m * n) * (length + 2 * RIM_VOXELS) + RIM_VOXELS - 1).reshape(m, n, 1)
    a, b = np.delete(row[:3], axis)
    starts = (a * np.arange(m)[:, None] + b * np.arange(n) + row[3]).astype(np.float32)
    along = (row[axis] * np.arange(length)).astype(np.float32)
    result = np.empty((m, n, length), np.float32)
    for first in range(0, m, PLANES):
        part = slice(first, first + PLANES)
        at = (starts[part, :, None] + along).clip(2 - RIM_VOXELS, length - 3 + RIM_VOXELS)
        whole = np.floor(at)
        left = before[part] + whole.astype(np.intp)
        up = at - whole
        down = 1 - up
        up2, down2 = up * up, down * down
        total = down2 * down * spline.take(left)
        total += (4 - 3 * up2 * (2 - up)) * spline.take(left + 1)
        total += (4 - 3 * down2 * (2 - down)) * spline.take(left + 2)
        total += up2 * up * spline.take(left + 3)
        result[part] = total / 6
    return np.moveaxis(result, -1, axis)
