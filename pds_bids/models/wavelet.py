"""Orthonormal 3D Haar transform: lossless, nothing to train, eight times fewer positions. And what if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

UNIT_NORM = 8**-0.5
"""Each of the eight sub-bands is a signed sum of the eight voxels of a block, scaled to unit norm."""


def haar(x_BCXYZ: Tensor) -> Tensor:
    """Image to sub-bands.

    Parameters
    ----------
    x_BCXYZ
        Even spatial sizes.

    Returns
    -------
    Tensor
        (B, 8 C, X/2, Y/2, Z/2). Channel 8 c + k: bit 2 of k is high-pass along x, bit 1 along y,
        bit 0 along z.
    """
    bands = [x_BCXYZ]
    for dim in (2, 3, 4):
        bands = [half for band in bands for half in _split(band, dim)]
    return torch.stack(bands, dim=2).flatten(1, 2) * UNIT_NORM


def inverse_haar(bands_BKXYZ: Tensor) -> Tensor:
    """Sub-bands to image, the exact inverse of `haar`.

    Parameters
    ----------
    bands_BKXYZ
        (B, 8 C, X, Y, Z)

    Returns
    -------
    Tensor
        (B, C, 2 X, 2 Y, 2 Z)
    """
    bands = list((bands_BKXYZ * UNIT_NORM).unflatten(1, (-1, 8)).unbind(2))
    for dim in (4, 3, 2):
        bands = [_join(low, high, dim) for low, high in zip(bands[::2], bands[1::2], strict=True)]
    return bands[0]


def _split(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    even, odd = x.unflatten(dim, (-1, 2)).unbind(dim + 1)
    return even + odd, even - odd


def _join(low: Tensor, high: Tensor, dim: int) -> Tensor:
    return torch.stack((low + high, low - high), dim + 1).flatten(dim, dim + 1)


def voxels_to_blocks(x_BCXYZ: Tensor) -> Tensor:
    """(B, C, 2X, 2Y, 2Z) to (B, 8 C, X, Y, Z): channel 8 c + 4 i + 2 j + k is voxel (i, j, k) of a block."""
    split = x_BCXYZ.unflatten(4, (-1, 2)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def blocks_to_voxels(channels_BKXYZ: Tensor) -> Tensor:
    """(B, 8 C, X, Y, Z) to (B, C, 2X, 2Y, 2Z), the inverse of `voxels_to_blocks`."""
    split = channels_BKXYZ.unflatten(1, (-1, 2, 2, 2)).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return split.flatten(6, 7).flatten(4, 5).flatten(2, 3)


class Transform(NamedTuple):
    """Images to channels of half the resolution, eight for each, and back."""

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


HAAR = Transform(haar, inverse_haar)

VOXELS = Transform(voxels_to_blocks, blocks_to_voxels)
"""Without a wavelet, at the same cost: an ablation."""
