"""Smooth random fields, and images made smooth or coarse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def smooth_noise(
    shape: tuple[int, int, int], knots: int, channels: int, generator: torch.Generator
) -> Tensor:
    """A random field that varies over the scale of `shape / knots` voxels.

    Returns
    -------
    Tensor
        (1, channels, X, Y, Z), zero mean, unit variance at the knots.
    """
    coarse = torch.randn(
        (1, channels, *(max(4, round(knots * n / max(shape)) + 3) for n in shape)),
        generator=generator,
        device=generator.device,
    )
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)


def gaussian_blur(x: Tensor, sigma_voxels: Sequence[float]) -> Tensor:
    """Separable Gaussian on the last three axes of (1, C, X, Y, Z); edges replicated."""
    channels = x.shape[1]
    for axis, sigma in enumerate(sigma_voxels):
        if sigma < 0.15:
            continue
        radius = max(1, round(3 * sigma))
        offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = -1
        weight = (kernel / kernel.sum()).view(shape).repeat(channels, 1, 1, 1, 1)
        padding = [0] * 6
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = radius
        x = F.conv3d(F.pad(x, padding, mode="replicate"), weight, groups=channels)
    return x


def block_means(fine_CXYZ: Tensor) -> Tensor:
    """(C, 160, 192, 176) at 1 mm to (C, 80, 96, 88), on `MODEL_GRID`."""
    return F.avg_pool3d(fine_CXYZ[None], 2)[0]
