"""A reference that does not lie where it should: displaced, turned or distorted by a known amount."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.metrics import Array

DISTORTION_MM = 20.0
"""Over which a distortion is smooth: about that of field inhomogeneity after an imperfect correction."""


def displaced(volume: Array, displacement_mm: Array, voxel_mm: float = 2.0) -> Array:
    """The volume pulled through a displacement, by cubic splines; 0 from beyond its edge.

    Parameters
    ----------
    volume
        (X, Y, Z)
    displacement_mm
        (3, X, Y, Z) or (3, 1, 1, 1): where each voxel takes its value from, relative to itself.
    voxel_mm
        Edge of the cubic voxels.
    """
    from scipy.ndimage import map_coordinates

    where = np.indices(volume.shape) + displacement_mm / voxel_mm
    moved: Array = map_coordinates(volume.astype(np.float64), where, order=3, mode="constant")
    return moved.clip(volume.min(), volume.max())


def shift(mm: float, generator: np.random.Generator) -> Array:
    """(3, 1, 1, 1) mm in a random direction."""
    direction = generator.standard_normal(3)
    return (mm * direction / np.linalg.norm(direction)).reshape(3, 1, 1, 1)


def rotation(
    degrees: float, shape: tuple[int, ...], generator: np.random.Generator, voxel_mm: float = 2.0
) -> Array:
    """(3, X, Y, Z) mm about a random axis through the middle of the grid."""
    from scipy.spatial.transform import Rotation

    axis = generator.standard_normal(3)
    turn = Rotation.from_rotvec(degrees * axis / np.linalg.norm(axis), degrees=True).as_matrix()
    middle = (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    away_mm = (np.indices(shape) - middle) * voxel_mm
    moved: Array = np.einsum("ij,jxyz->ixyz", turn - np.eye(3), away_mm)
    return moved


def distortion(
    rms_mm: float, mask: NDArray[np.bool_], generator: np.random.Generator, voxel_mm: float = 2.0
) -> Array:
    """(3, X, Y, Z) mm along the phase axis (y), smooth, random, of a given root mean square in the mask."""
    from scipy.ndimage import gaussian_filter

    along = gaussian_filter(generator.standard_normal(mask.shape), DISTORTION_MM / 2 / voxel_mm)
    along *= rms_mm / np.sqrt(np.mean(along[mask] ** 2))
    nothing = np.zeros(mask.shape)
    return np.stack([nothing, along, nothing])
