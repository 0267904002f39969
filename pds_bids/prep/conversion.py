"""Volumes to ANTs images and matrices to ITK transforms: RAS+ mm on our side, LPS mm on theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Grid, Volume

if TYPE_CHECKING:
    import ants

Matrix = NDArray[np.floating[Any]]
"""(4, 4) affine map of world coordinates, RAS mm to RAS mm; points are columns."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS <-> LPS: its own inverse."""

BASELINE_MM = 128.0

SHEAR_TOLERANCE = 1e-2
"""Largest |cosine| between two voxel axes still read as rounding in the header rather than as shear."""


def is_sheared(affine: Matrix) -> bool:
    """Whether the voxel axes of a (4, 4) affine are not orthogonal to each other."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE)


def to_ants(volume: Volume) -> ants.ANTsImage:
    """The same image, in the same place, for ANTs.

    Parameters
    ----------
    volume
        (X, Y, Z) float32 with any orthogonal affine: oblique, mirrored, permuted.

    Raises
    ------
    GridMismatch
        If the voxel axes are not orthogonal: ITK images cannot be sheared.
    """
    import ants

    if is_sheared(volume.affine):
        raise GridMismatch("the affine is sheared; resample the image to a grid with orthogonal axes")
    spacing = volume.grid.voxel_mm
    left, _, right = np.linalg.svd((LPS @ volume.affine)[:3, :3] / spacing)
    return ants.from_numpy(
        np.asarray(volume.data, np.float32),
        origin=tuple((LPS @ volume.affine)[:3, 3]),
        spacing=tuple(spacing),
        direction=left @ right,  # the nearest orthonormal axes
    )


def from_ants(image: ants.ANTsImage, space: str) -> Volume:
    """An ANTs image as a volume in `space`."""
    affine = np.eye(4)
    affine[:3, :3] = image.direction * np.asarray(image.spacing)
    affine[:3, 3] = image.origin
    return Volume(image.numpy().astype(np.float32), LPS @ affine, space)


def grid_image(grid: Grid) -> ants.ANTsImage:
    """An empty ANTs image that carries a grid."""
    return to_ants(Volume(np.zeros(grid.shape, np.float32), grid.affine))


def write_matrix(matrix: Matrix, path: Path) -> Path:
    """Write an affine map of world coordinates as an ITK transform file.

    Parameters
    ----------
    matrix
        (4, 4) from RAS mm to RAS mm, in the direction in which points are to be mapped. ITK resamples an
        image by mapping the points of the fixed image to the moving one.
    path
        `.mat` or `.txt`.
    """
    import ants

    lps = LPS @ matrix @ LPS
    transform = ants.create_ants_transform(
        transform_type="AffineTransform", precision="double", dimension=3,
        matrix=lps[:3, :3], translation=lps[:3, 3], center=(0.0, 0.0, 0.0),
    )  # fmt: skip
    ants.write_transform(transform, str(path))
    return path


def read_matrix(path: Path) -> Matrix:
    """Read an ITK linear transform as a (4, 4) map of RAS mm, whatever its centre of rotation."""
    import ants

    transform = ants.read_transform(str(path), precision="double")
    # Points pass through single precision: a long baseline keeps the matrix exact.
    corners = BASELINE_MM * np.vstack([np.zeros(3), np.eye(3)])
    images = np.array([transform.apply_to_point(tuple(corner)) for corner in corners])
    lps = np.eye(4)
    lps[:3, :3] = (images[1:] - images[0]).T / BASELINE_MM
    lps[:3, 3] = images[0]
    return np.asarray(LPS @ lps @ LPS)
