"""An anatomy at 1 mm summed up by model voxel and structure: an eighth of the values, the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.physics import TissueProperties

BLOCK = 8
"""Voxels at 1 mm in one of the model grid."""


@dataclass(frozen=True)
class Cells:
    """What every model voxel is made of, one entry for each structure in it; air is left out.

    Attributes
    ----------
    voxel
        (N,) flat index on `MODEL_GRID`.
    structure
        (N,) `Structure`.
    share
        (N,) of the voxel's volume.
    tissue
        (N,) mean properties there.
    """

    voxel: Tensor
    structure: Tensor
    share: Tensor
    tissue: TissueProperties

    def image(self, values: Tensor) -> Tensor:
        """(X, Y, Z) sum over the structures of (N,) values times their shares."""
        flat = torch.zeros(MODEL_GRID.shape, device=values.device).flatten()
        return flat.index_add_(0, self.voxel, values * self.share).view(MODEL_GRID.shape)

    def fraction(self, *members: Structure) -> Tensor:
        """(X, Y, Z) share of the named structures together."""
        table = torch.zeros(len(Structure), device=self.share.device)
        table[list(members)] = 1
        return self.image(table[self.structure])


def cells_of(structures: Tensor, tissue: TissueProperties) -> Cells:
    """Sum up an anatomy.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8.
    tissue
        Maps of the same shape.
    """
    inside = structures.flatten() != Structure.AIR
    index = torch.arange(math.prod(MODEL_GRID.shape), device=structures.device).view(MODEL_GRID.shape)
    for axis in range(3):
        index = index.repeat_interleave(2, axis)
    key = index.flatten()[inside] * len(Structure) + structures.flatten()[inside]
    counts = torch.bincount(key)
    present = counts.nonzero()[:, 0]
    n = counts[present]
    means = (torch.bincount(key, values.flatten()[inside])[present] / n for values in vars(tissue).values())
    return Cells(
        voxel=present // len(Structure),
        structure=present % len(Structure),
        share=n / BLOCK,
        tissue=TissueProperties(*(m.float() for m in means)),
    )
