"""Regions that shrink or grow by a wanted factor, and an invertible map that does it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.errors import PdsError
from pds_bids.simulation.anatomy import FINE_SHAPE
from pds_bids.simulation.deformation import deform, identity_grid, velocity_to_displacement
from pds_bids.simulation.smoothing import block_means

SPREAD_MM = 10.0
"""How far around a region its neighbours make up for what it gains or loses."""

SMOOTH_MM = 1.5
"""Blur of a region's edge, so that the velocity is smooth on its 2 mm lattice."""

BORDER_VOXELS = 4
"""Over the last 8 mm the velocity fades to nothing: what leaves the lattice would be lost."""

TOLERANCE = 0.005
"""Largest relative error of a region's volume, counted on its warped voxels."""

ITERATIONS = 40

_VOXEL_MM = 2.0


class VolumesNotReached(PdsError):
    """No invertible map was found that gives every region its wanted volume."""


def resizing_grid(masks: Sequence[Tensor], factors: Sequence[float]) -> Tensor:
    """Sampling grid under which region k takes `factors[k]` times its volume.

    The map is the exponential of a stationary velocity v = sum_k a_k v_k. Each v_k is the gradient of a
    potential whose Laplacian is the region less a blurred copy of it: inside, space expands; around, it makes
    room; together they cancel, so that far away nothing moves. The strengths a_k first follow from the mean
    divergence inside each region, then from the volumes counted on the warped voxels.

    Parameters
    ----------
    masks
        (160, 192, 176) bool each, disjoint. An empty one is left out.
    factors
        Wanted volume over present volume, positive. A factor of one is held, too.

    Returns
    -------
    Tensor
        (1, 160, 192, 176, 3) for `deform`. It pulls: where a region grows, the grid contracts.

    Raises
    ------
    VolumesNotReached
        If some region misses its volume by more than 0.5 %, e.g. because its neighbours are all held.
    """
    regions = [(mask, math.log(factor)) for mask, factor in zip(masks, factors, strict=True) if mask.any()]
    device = masks[0].device if masks else torch.device("cpu")
    base = identity_grid(FINE_SHAPE, device)
    if not any(growth for _, growth in regions):
        return base
    labels = _numbered([mask for mask, _ in regions])
    wanted = torch.tensor([growth for _, growth in regions], device=device)
    sizes = _sizes(labels)
    density = block_means(torch.stack([mask.float() for mask, _ in regions]))
    velocities, response = _unit_flows(density)

    strengths, gain, error = torch.zeros_like(wanted), torch.ones_like(wanted), wanted
    for _ in range(ITERATIONS):
        strengths = strengths + gain * torch.linalg.solve(response, error)
        where = base + _fine_displacement(-torch.einsum("k,kcxyz->cxyz", strengths, velocities))
        last, error = error, wanted - torch.log(_sizes(deform(labels, where)) / sizes)
        if error.abs().max() < TOLERANCE:
            return where
        # Faces of voxels flip all at once: the count moves in steps that the divergence does not foresee.
        gain = gain * torch.where(error * last < 0, 0.5, 1.2)
    raise VolumesNotReached(
        f"volumes miss their factors by {[f'{float(e):+.1%}' for e in error]}; ask for smaller changes"
    )


def _numbered(masks: Sequence[Tensor]) -> Tensor:
    """(160, 192, 176) uint8: 1, 2, ... in the order of the masks, 0 elsewhere."""
    labels = torch.zeros(FINE_SHAPE, dtype=torch.uint8, device=masks[0].device)
    for number, mask in enumerate(masks, start=1):
        if labels[mask].any():
            raise ValueError(f"mask {number - 1} overlaps one before it; regions have to be disjoint")
        labels[mask] = number
    return labels


def _sizes(labels: Tensor) -> Tensor:
    """(K,) voxels of each number, without 0. At least one, so that its logarithm exists."""
    return torch.bincount(labels.flatten())[1:].clamp(min=1).float()


def _unit_flows(density: Tensor) -> tuple[Tensor, Tensor]:
    """Velocity of each region at strength one, and what it does to the volume of every region.

    Parameters
    ----------
    density
        (K, 80, 96, 88) fraction of each voxel that belongs to the region.

    Returns
    -------
    velocities
        (K, 3, 80, 96, 88) in the units of `grid_sample`, channels (z, y, x).
    response
        (K, K) mean divergence inside region k of the velocity of region l.
    """
    shape, device = density.shape[1:], density.device
    k = torch.meshgrid(
        *(2 * math.pi * torch.fft.fftfreq(n, _VOXEL_MM, device=device) for n in shape[:2]),
        2 * math.pi * torch.fft.rfftfreq(shape[2], _VOXEL_MM, device=device),
        indexing="ij",
    )
    k2 = torch.stack(k).square().sum(0)
    neutral = torch.exp(-0.5 * SMOOTH_MM**2 * k2) * (1 - torch.exp(-0.5 * SPREAD_MM**2 * k2))
    divergence = torch.fft.rfftn(density, dim=(1, 2, 3)) * neutral
    potential = -divergence / k2.clamp(min=1e-12)
    gradient = [torch.fft.irfftn(1j * component * potential, shape, dim=(1, 2, 3)) for component in k]
    half_mm = [_VOXEL_MM * (n - 1) / 2 for n in shape]
    velocities = torch.stack([g / half for g, half in zip(gradient, half_mm, strict=True)][::-1], dim=1)

    local = torch.fft.irfftn(divergence, shape, dim=(1, 2, 3))
    response = torch.einsum("kxyz,lxyz->kl", density, local) / density.sum((1, 2, 3))[:, None]
    return velocities * _fade(shape, device), response


def _fade(shape: Sequence[int], device: torch.device) -> Tensor:
    """(X, Y, Z) weight: one inside, falling to zero over the last voxels of every side."""
    ramps = []
    for n in shape:
        depth = torch.minimum(torch.arange(n, device=device), torch.arange(n, device=device).flip(0))
        ramps.append(torch.sin(0.5 * math.pi * (depth / BORDER_VOXELS).clamp(max=1)) ** 2)
    return ramps[0][:, None, None] * ramps[1][:, None] * ramps[2]


def _fine_displacement(velocity: Tensor) -> Tensor:
    """(3, 80, 96, 88) velocity to the (1, 160, 192, 176, 3) displacement of its exponential."""
    coarse = velocity_to_displacement(velocity[None])
    fine = F.interpolate(coarse, scale_factor=2, mode="trilinear")  # 2 mm voxels are blocks of 1 mm ones
    # Both lattices end at -1 and 1, but the coarse one's last voxel centre lies half a millimetre further in.
    extent = [2 * (c - 1) / (f - 1) for c, f in zip(velocity.shape[:0:-1], FINE_SHAPE[::-1], strict=True)]
    return fine.permute(0, 2, 3, 4, 1) * torch.tensor(extent, device=velocity.device)
