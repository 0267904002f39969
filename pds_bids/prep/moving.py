"""A volume moved on its own grid, by a cubic spline along one axis after the other.

A rigid move is a product of three maps that change one coordinate each, as long as no axis is turned into
another (Catmull & Smith 1980): a new voxel is weighed from 3 x 4 of the old instead of 4 x 4 x 4. Each
coordinate is interpolated once, as in a spline over all of space, and as little
is lost (docs/adr/0017-moving.rst).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.resampling import resample

SMALLEST_SHARE = 0.99
"""Of an axis that stays its own: turned by 8 degrees. Beyond that, what lies between two steps is blurred."""

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
        Clipped to the range of the input, or to 0; beyond the field of view, what its nearest voxel has.
    """
    if np.array_equal(matrix, np.eye(4)):
        return volume
    to_voxel = np.linalg.inv(matrix @ volume.affine) @ volume.affine
    rows = list(_rows(to_voxel))
    if min(row[axis] for axis, row in rows) < SMALLEST_SHARE:
        return resample(volume, volume.grid, matrix, "bspline", space=volume.space, outside="nearest")
    data = volume.data
    for axis, row in rows:
        data = _along(data, axis, row)
    return volume.like(data.clip(min(0.0, volume.data.min()), volume.data.max()))


def _rows(to_voxel: Matrix) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Axis after axis, and the row of the identity's that it takes: their product is `to_voxel`."""
    found, rest = [], np.eye(4)
    for axis in (2, 1, 0):
        step = np.eye(4)
        step[axis] = to_voxel[axis] @ np.linalg.inv(rest)
        rest = step @ rest
        found.append((axis, step[axis]))
    yield from reversed(found)


def _along(data: NDArray[np.float32], axis: int, row: NDArray[np.float64]) -> NDArray[np.float32]:
    """The value at x is that at x with the coordinate `axis` replaced by row @ (x, 1)."""
    from scipy import ndimage

    coefficients = np.moveaxis(ndimage.spline_filter1d(data, 3, axis, np.float32, "mirror"), axis, -1)
    m, n, length = coefficients.shape
    padded = np.pad(coefficients, ((0, 0), (0, 0), (1, 2)), "reflect").ravel()
    lines = (np.arange(m * n) * (length + 3)).reshape(m, n, 1)
    a, b = np.delete(row[:3], axis)
    starts = (a * np.arange(m)[:, None] + b * np.arange(n) + row[3]).astype(np.float32)
    steps = (row[axis] * np.arange(length)).astype(np.float32)
    result = np.empty((m, n, length), np.float32)
    for first in range(0, m, PLANES):
        part = slice(first, first + PLANES)
        at = (starts[part, :, None] + steps).clip(0, length - 1)
        whole = np.floor(at)
        left = lines[part] + whole.astype(np.intp)
        up = at - whole
        down = 1 - up
        up2, down2 = up * up, down * down
        total = down2 * down * padded.take(left)
        total += (4 - 3 * up2 * (2 - up)) * padded.take(left + 1)
        total += (4 - 3 * down2 * (2 - down)) * padded.take(left + 2)
        total += up2 * up * padded.take(left + 3)
        result[part] = total / 6
    return np.moveaxis(result, -1, axis)
