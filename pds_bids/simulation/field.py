"""The static field that air beside the brain disturbs."""

from __future__ import annotations

import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.deformation import identity_grid
from pds_bids.simulation.protocol import uniform

AIR_CAVITIES_MM = ((0.0, 38.0, -24.0), (-48.0, -18.0, -38.0), (48.0, -18.0, -38.0))
"""Sphenoid and frontal sinuses, left and right ear canals: where the static field is bad."""

FIELD_PEAK_HZ = 100.0
"""Static field beside a typical air cavity at 3 T [R]."""


def half_extent_mm(device: torch.device) -> Tensor:
    """(3,) from the centre of `MODEL_GRID` to its last voxel centre, (z, y, x): voxels are 2 mm."""
    return torch.tensor([n - 1.0 for n in reversed(MODEL_GRID.shape)], device=device)


def _millimetres(device: torch.device) -> Tensor:
    """(X, Y, Z, 3) positions of `MODEL_GRID` voxels in mm, last axis (z, y, x)."""
    corner = torch.tensor([float(v) for v in reversed(MODEL_GRID.affine[:3, 3])], device=device)
    half = half_extent_mm(device)
    return identity_grid(MODEL_GRID.shape, device)[0] * half + half + corner


def field_map(generator: torch.Generator) -> Tensor:
    """Static field around the air cavities, (X, Y, Z), about 1 where it is worst."""
    device = generator.device
    position = _millimetres(device)
    field = torch.zeros(MODEL_GRID.shape, device=device)
    for cavity in AIR_CAVITIES_MM:
        jitter = 4 * torch.randn(3, generator=generator, device=device)
        offset = position - torch.tensor(cavity[::-1], device=device) - jitter
        width, height = uniform(generator, 10, 18), uniform(generator, 0.5, 1.2)
        field += height * torch.exp(-0.5 * (offset**2).sum(-1) / width**2)
    return field
