"""Volumes cut into planes: where the slices lie, and slices laid side by side as one picture.

Everything here is numpy. Pictures are drawn at `PIXEL_MM` in both directions, so that voxels of any shape,
stored in any orientation, come out with the proportions of the head; x grows to the right, so the left of
the picture is the left of the subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Volume

PIXEL_MM = 1.25
"""Edge of a picture's pixel in mm."""

MARGIN_MM = 5.0
"""Air left around the brain when a picture is cropped to it."""

_FILLED_PLANE = 0.01  # share of a plane that must be foreground: a few noisy voxels do not widen the crop


@dataclass(frozen=True)
class Plane:
    """One of the three orientations.

    Attributes
    ----------
    name
        What a radiologist calls it.
    normal, across, up
        Axes of a RAS+ volume: through the slice, to the right of the picture, to its top.
    left, right
        Letters at the two sides of the picture.
    """

    name: str
    normal: int
    across: int
    up: int
    left: str
    right: str


AXIAL = Plane("axial", 2, 0, 1, "L", "R")
CORONAL = Plane("coronal", 1, 0, 2, "L", "R")
SAGITTAL = Plane("sagittal", 0, 1, 2, "P", "A")


@dataclass(frozen=True)
class Cut:
    """One slice: its plane, the voxel it goes through along the plane's normal, and its place in mm."""

    plane: Plane
    voxel: int
    mm: float

    @property
    def label(self) -> str:
        """Such as `z -12`."""
        return f"{'xyz'[self.plane.normal]} {self.mm:.0f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Box:
    """The part of a RAS+ grid that is shown: voxels from `low` up to, but without, `high` along (X, Y, Z)."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]


def canonical(volume: Volume) -> Volume:
    """The same voxels in the order nearest to RAS+, so that axes 0, 1, 2 point right, forward and up.

    Nothing is resampled: an oblique volume keeps its own axes. Non-finite voxels become 0.
    """
    import nibabel as nb

    image = nb.as_closest_canonical(nb.Nifti1Image(volume.data, volume.affine))
    data = np.nan_to_num(np.asarray(image.dataobj, np.float32), posinf=0.0, neginf=0.0)
    return Volume(data, np.asarray(image.affine, np.float64), volume.space)


def foreground(volume: Volume) -> NDArray[np.bool_]:
    """(X, Y, Z) mask of the head: what is brighter than a sixth of the brightest voxels."""
    return volume.data > np.percentile(volume.data, 99) / 6


def crop(mask: NDArray[np.bool_], voxel_mm: NDArray[np.float64]) -> Box:
    """The box around a mask with a margin of `MARGIN_MM`; the whole grid where the mask is empty.

    Parameters
    ----------
    mask
        (X, Y, Z) on a RAS+ grid.
    voxel_mm
        (3,) voxel edges in mm.
    """
    bounds = []
    for axis, size in enumerate(mask.shape):
        others = tuple({0, 1, 2} - {axis})
        filled = np.flatnonzero(mask.mean(axis=others) > _FILLED_PLANE)
        margin = round(MARGIN_MM / voxel_mm[axis])
        first, last = (filled[0] - margin, filled[-1] + margin) if filled.size else (0, size - 1)
        bounds.append((max(int(first), 0), min(int(last) + 1, size)))
    (x0, x1), (y0, y1), (z0, z1) = bounds
    return Box((x0, y0, z0), (x1, y1, z1))


def cuts(volume: Volume, box: Box, plane: Plane, n: int) -> tuple[Cut, ...]:
    """`n` evenly spaced slices through the box, away from its ends.

    Parameters
    ----------
    volume
        RAS+ (see `canonical`).
    """
    axis = plane.normal
    positions = np.linspace(box.low[axis], box.high[axis] - 1, n + 2)[1:-1].round().astype(int)
    middle = (np.array(box.low) + np.array(box.high) - 1) / 2
    found = []
    for position in positions:
        middle[axis] = position
        mm = volume.affine[axis, :3] @ middle + volume.affine[axis, 3]
        found.append(Cut(plane, int(position), float(mm)))
    return tuple(found)


def tile(volume: Volume, box: Box, cut: Cut) -> NDArray[np.float32]:
    """One slice at `PIXEL_MM`, interpolated linearly inside its plane only.

    Parameters
    ----------
    volume
        RAS+ (see `canonical`).

    Returns
    -------
    ndarray
        (rows, columns); row 0 is the top of the picture.
    """
    from scipy.ndimage import map_coordinates

    plane = cut.plane
    across, up = (_positions(volume, box, axis) for axis in (plane.across, plane.up))
    section = volume.data.take(cut.voxel, axis=plane.normal)
    # (across, up) is also the order in which the two remaining axes of the section come, for every plane
    where = np.meshgrid(across, up[::-1])
    image: NDArray[np.float32] = map_coordinates(section, where, np.float32, order=1, mode="nearest")
    return image


@dataclass(frozen=True)
class Place:
    """Where one slice lies on a canvas, in pixels from its top left corner."""

    row: int
    column: int
    cut: Cut
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Montage:
    """Rows of slices laid out as one picture.

    Attributes
    ----------
    places
        One per slice.
    shape
        (rows, columns) of the canvas in pixels.
    box
        The part of the grid that is shown.
    """

    places: tuple[Place, ...]
    shape: tuple[int, int]
    box: Box

    def canvas(self, volumes: Sequence[Volume]) -> NDArray[np.float32]:
        """The picture.

        Parameters
        ----------
        volumes
            RAS+ (see `canonical`), one for each row, all on the grid the montage was made for.

        Returns
        -------
        ndarray
            `shape`; NaN where there is no slice.
        """
        picture = np.full(self.shape, np.nan, np.float32)
        for at in self.places:
            image = tile(volumes[at.row], self.box, at.cut)
            picture[at.top : at.top + at.height, at.left : at.left + at.width] = image
        return picture


def montage(volume: Volume, box: Box, rows: Sequence[Sequence[Cut]], heading: int = 0) -> Montage:
    """Lay out rows of slices in cells of one width, each row as high as its highest slice.

    Parameters
    ----------
    volume
        RAS+ volume that gives the grid.
    rows
        Slices, row by row.
    heading
        Pixels left free above each row for a line of text.
    """
    size = [_positions(volume, box, axis).size for axis in range(3)]
    width = max(size[cut.plane.across] for row in rows for cut in row)
    places, top = [], 0
    for i, row in enumerate(rows):
        top += heading
        height = max(size[cut.plane.up] for cut in row)
        for j, cut in enumerate(row):
            across, up = size[cut.plane.across], size[cut.plane.up]
            left, above = j * width + (width - across) // 2, top + (height - up) // 2
            places.append(Place(i, j, cut, left, above, across, up))
        top += height
    return Montage(tuple(places), (top, width * max(map(len, rows))), box)


def _positions(volume: Volume, box: Box, axis: int) -> NDArray[np.float64]:
    """Voxel coordinates of the pixel centres along one axis of the box."""
    voxel_mm = volume.grid.voxel_mm[axis]
    n_pixels = max(round((box.high[axis] - box.low[axis]) * voxel_mm / PIXEL_MM), 1)
    step = (box.high[axis] - box.low[axis]) / n_pixels
    centres: NDArray[np.float64] = box.low[axis] - 0.5 + (np.arange(n_pixels) + 0.5) * step
    return centres
