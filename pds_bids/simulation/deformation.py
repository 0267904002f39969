"""Smooth invertible maps of the 1 mm lattice onto itself, and label maps carried along them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.simulation.anatomy import FINE_SHAPE
from pds_bids.simulation.smoothing import smooth_noise


def identity_grid(shape: tuple[int, int, int], device: torch.device | str = "cpu") -> Tensor:
    """(1, X, Y, Z, 3) sampling positions in [-1, 1], last axis in the (z, y, x) order of `grid_sample`."""
    eye = torch.eye(3, 4, device=device)[None]
    return F.affine_grid(eye, [1, 1, *shape], align_corners=True)


def velocity_to_displacement(velocity: Tensor, squarings: int = 5) -> Tensor:
    """Exponential of a stationary velocity field by scaling and squaring (Arsigny 2006).

    Parameters
    ----------
    velocity
        (1, 3, X, Y, Z), in the units of `grid_sample`, channels (z, y, x).

    Returns
    -------
    Tensor
        Displacement with the same shape: x -> x + u(x) is a diffeomorphism.
    """
    displacement = velocity / 2**squarings
    x, y, z = velocity.shape[2:]
    base = identity_grid((x, y, z), velocity.device)
    for _ in range(squarings):
        where = base + displacement.permute(0, 2, 3, 4, 1)
        displacement = displacement + F.grid_sample(
            displacement, where, align_corners=True, padding_mode="border"
        )
    return displacement


def random_diffeomorphism(
    generator: torch.Generator, sd_mm: float = 3.0, affine_sd: float = 0.02, knots: int = 8
) -> Tensor:
    """Sampling grid of a random anatomy: A x + t + u(x), a small affine plus a smooth displacement.

    Parameters
    ----------
    sd_mm
        Standard deviation of the velocity at its knots, in mm.
    affine_sd
        Standard deviation of each entry of the linear part around the identity: what an affine
        registration leaves behind. The translation it leaves is 1 mm.

    Returns
    -------
    Tensor
        (1, 160, 192, 176, 3) for `grid_sample`, align_corners=True.
    """
    device = generator.device
    half_mm = torch.tensor([(n - 1) / 2 for n in reversed(FINE_SHAPE)], device=device)
    x, y, z = (n // 4 for n in FINE_SHAPE)
    velocity = smooth_noise((x, y, z), knots, 3, generator) * sd_mm / half_mm.view(1, 3, 1, 1, 1)
    displacement = F.interpolate(
        velocity_to_displacement(velocity), size=FINE_SHAPE, mode="trilinear", align_corners=True
    )
    linear = torch.eye(3, 4, device=device)
    linear[:, :3] += affine_sd * torch.randn((3, 3), generator=generator, device=device)
    linear[:, 3] += torch.randn(3, generator=generator, device=device) / half_mm
    base = F.affine_grid(linear[None], [1, 1, *FINE_SHAPE], align_corners=True)
    return base + displacement.permute(0, 2, 3, 4, 1)


def deform(structures: Tensor, where: Tensor) -> Tensor:
    """Carry a label map along a sampling grid, nearest neighbour.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8.
    where
        (1, 160, 192, 176, 3).

    Returns
    -------
    Tensor
        (160, 192, 176) uint8.
    """
    source = structures[None, None].float()
    return F.grid_sample(source, where, mode="nearest", align_corners=True)[0, 0].to(torch.uint8)
