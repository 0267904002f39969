"""Veins: thin, dark where deoxygenated blood shortens T2*, and seen by every modality in the same place."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise

Point = tuple[float, float, float]

SINUSES_MM: tuple[tuple[Point, ...], ...] = (
    ((0, 62, 30), (0, 44, 52), (0, 10, 72), (0, -30, 78), (0, -65, 64), (0, -92, 36), (0, -104, 4)),
    ((0, -104, -4), (-22, -96, -20), (-46, -76, -32), (-58, -50, -38)),
    ((0, -104, -4), (22, -96, -20), (46, -76, -32), (58, -50, -38)),
    ((0, -8, 14), (0, -36, 6), (0, -52, 4), (0, -78, -6), (0, -98, -8)),
)
"""Superior sagittal, left and right transverse sinus, internal cerebral veins with straight sinus: about
where they run in MNI space [R]."""

SINUS_RADIUS_MM = 3.5


def veins(sulcal: Tensor, generator: torch.Generator) -> Tensor:
    """Share of venous blood in every model voxel.

    Parameters
    ----------
    sulcal
        (X, Y, Z) share of sulcal fluid: pial veins run in it and beside it.

    Returns
    -------
    Tensor
        (X, Y, Z) in [0, 1].
    """
    first, second = smooth_noise(MODEL_GRID.shape, 22, 2, generator)[0]
    thread = torch.exp(-0.5 * (first**2 + second**2) / 0.22**2)  # where two random sheets cross
    near = (2.5 * gaussian_blur(sulcal[None, None], (1.0,) * 3)[0, 0]).clamp(max=1)
    width = 0.7 + 0.6 * torch.rand((), generator=generator, device=generator.device)
    outside = F.max_pool3d(sulcal[None, None], 3, 1, 1)[0, 0]
    return torch.maximum(thread * near, _sinuses(sulcal.device, float(width)) * outside)


def _sinuses(device: torch.device, width: float) -> Tensor:
    """(X, Y, Z) in [0, 1]: how deep in a sinus."""
    axes = [
        torch.arange(n, device=device) * 2.0 + float(start)
        for n, start in zip(MODEL_GRID.shape, MODEL_GRID.affine[:3, 3], strict=True)
    ]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    nearest = torch.full(MODEL_GRID.shape, torch.inf, device=device)
    for line in SINUSES_MM:
        points = torch.tensor(line, device=device, dtype=torch.float32)
        for start, end in itertools.pairwise(points):
            along = end - start
            share = (((position - start) @ along) / along.dot(along)).clamp(0, 1)
            nearest = torch.minimum(nearest, (position - start - share[..., None] * along).norm(dim=-1))
    return torch.exp(-0.5 * (nearest / (SINUS_RADIUS_MM * width)) ** 2)
