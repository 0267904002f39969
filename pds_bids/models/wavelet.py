"""Orthonormal 3D Haar transform: lossless, nothing to train, eight times fewer positions."""

from __future__ import annotations

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
