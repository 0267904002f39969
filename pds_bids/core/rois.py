"""Regions of interest as spheres around points of a standard space: vectors, until they are painted."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Grid


class RoiGroup(enum.StrEnum):
    """Where a ROI lies, as far as disease treats places alike."""

    LIMBIC = "limbic"
    SUBCORTICAL = "subcortical"
    VENTRICULAR = "ventricular"
    OTHER = "other"


@dataclass(frozen=True)
class RoiAtlas:
    """R spheres.

    Attributes
    ----------
    names
        One each.
    centres_mm
        (R, 3) coordinates.
    radii_mm
        (R,)
    groups
        One each.
    """

    names: tuple[str, ...]
    centres_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    groups: tuple[RoiGroup, ...]

    def __len__(self) -> int:
        return len(self.names)

    def moved(self, by_mm: NDArray[np.float64]) -> RoiAtlas:
        """The same spheres elsewhere; `by_mm` is (3,)."""
        return replace(self, centres_mm=self.centres_mm + by_mm)

    def labels(self, grid: Grid) -> NDArray[np.int64]:
        """Which ROI each voxel belongs to: that of the nearest centre, among the spheres it lies in.

        Parameters
        ----------
        grid
            In the space of the coordinates, with orthogonal axes.

        Returns
        -------
        ndarray
            (X, Y, Z) position of the ROI plus one; 0 outside every sphere.

        Examples
        --------
        >>> atlas = RoiAtlas(
        ...     ("a", "b"), np.array([[1.0, 0, 0], [4, 0, 0]]), np.array([2.0, 2]), (RoiGroup.OTHER,) * 2
        ... )
        >>> atlas.labels(Grid((7, 1, 1), np.eye(4)))[:, 0, 0]
        array([1, 1, 1, 2, 2, 2, 2])
        """
        labels = np.zeros(grid.shape, np.int64)
        nearest_mm = np.full(grid.shape, np.inf)
        to_voxel = np.linalg.inv(grid.affine)
        for number, (centre, radius) in enumerate(zip(self.centres_mm, self.radii_mm, strict=True), 1):
            middle = to_voxel[:3, :3] @ centre + to_voxel[:3, 3]
            reach = radius / grid.voxel_mm.min()
            low = np.clip(np.ceil(middle - reach), 0, grid.shape).astype(int)
            high = np.clip(np.floor(middle + reach) + 1, 0, grid.shape).astype(int)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            voxels = np.moveaxis(np.mgrid[box], 0, -1)
            away_mm = np.linalg.norm(voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3] - centre, axis=-1)
            nearer = (away_mm <= radius) & (away_mm < nearest_mm[box])
            labels[box][nearer] = number
            nearest_mm[box][nearer] = away_mm[nearer]
        return labels

    def painted(self, values_CR: NDArray[np.floating], grid: Grid) -> NDArray[np.float32]:
        """(C, X, Y, Z) values of the ROI that each voxel belongs to (see `labels`); 0 outside of all."""
        nowhere = np.zeros((len(values_CR), 1))
        by_label = np.concatenate([nowhere, values_CR], axis=1).astype(np.float32)
        maps: NDArray[np.float32] = by_label[:, self.labels(grid)]
        return maps
