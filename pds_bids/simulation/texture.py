"""What no table of tissues holds: structures brighter or darker than it says, and texture inside them."""

from __future__ import annotations

import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise

SCALES_MM = (2.0, 4.0, 8.0, 20.0)
"""Of the texture inside tissues: over about how far it is smooth."""

PRIMARY_CORTEX_MM = ((0, -84, 6), (-38, -26, 56), (38, -26, 56), (-46, -20, 8), (46, -20, 8))
"""Calcarine, central and Heschl's cortex, rich in myelin and iron: rough MNI centres [R]."""


def noise_of_scale(scale_mm: float, generator: torch.Generator, channels: int = 1) -> Tensor:
    """(channels, X, Y, Z) on `MODEL_GRID`: zero mean, unit variance, smooth over about `scale_mm`."""
    if scale_mm > 6:
        return _standard(smooth_noise(MODEL_GRID.shape, round(90 / scale_mm), channels, generator)[0])
    white = torch.randn((1, channels, *MODEL_GRID.shape), generator=generator, device=generator.device)
    return _standard(gaussian_blur(white, [scale_mm / 4] * 3)[0])  # half of it in mm, 2 mm voxels


def _standard(field: Tensor) -> Tensor:
    return (field - field.mean()) / field.std()


def texture(generator: torch.Generator) -> Tensor:
    """(X, Y, Z) of unit variance, at several scales in random proportion."""
    shares = torch.rand(len(SCALES_MM), generator=generator, device=generator.device) + 0.1
    layers = torch.cat([noise_of_scale(scale, generator) for scale in SCALES_MM])
    return torch.einsum("s,sxyz->xyz", shares / shares.norm(), layers)


def structure_gains(sd: float, generator: torch.Generator) -> Tensor:
    """(n_structures,) log-normal factors of the signal, of logarithmic standard deviation `sd`."""
    noise = torch.randn(len(Structure), generator=generator, device=generator.device)
    return torch.exp(sd * noise)


def primary_cortex(generator: torch.Generator) -> Tensor:
    """(X, Y, Z) in [0, 1]: how much a place belongs to primary cortex."""
    device = generator.device
    axes = [
        torch.arange(n, device=device) * 2.0 + float(start)
        for n, start in zip(MODEL_GRID.shape, MODEL_GRID.affine[:3, 3], strict=True)
    ]
    centres = torch.tensor(PRIMARY_CORTEX_MM, device=device, dtype=torch.float32)
    centres = centres + 3 * torch.randn(centres.shape, generator=generator, device=device)
    total = torch.zeros(MODEL_GRID.shape, device=device)
    for centre in centres:
        x, y, z = (torch.exp(-0.5 * ((a - c) / 13) ** 2) for a, c in zip(axes, centre, strict=True))
        total += x[:, None, None] * y[:, None] * z
    return total.clamp(max=1)
