"""Brain masks as a tool would have made them of one scan, errors included."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.cells import Cells
from pds_bids.simulation.protocol import uniform
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise


def filled_brain(cells: Cells) -> Tensor:
    """(2, X, Y, Z): where the brain closes around its ventricles and sulci, and the share of it and fluid."""
    solid = cells.fraction(*(s for s in Structure if s > Structure.SOFT and s != Structure.SULCAL))
    return torch.stack([closing((solid > 0.5).float(), 6), solid + cells.fraction(Structure.SULCAL)])


def brain_mask(brain: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """(X, Y, Z) bool: brain with ventricles and sulci, with more or less of the fluid around it.

    The edge is a few mm wrong here and there, now and then spills into what surrounds the brain or leaves
    out where the image has lost its signal; sometimes the field of view ends within the brain.

    Parameters
    ----------
    brain
        (2, X, Y, Z) of `filled_brain`.
    image
        (X, Y, Z) that the mask is made of.
    """

    def u(low: float, high: float) -> float:
        return uniform(generator, low, high)

    filled = brain[0] * (brain[1] + u(-0.1, 0.4)).clamp(0, 1)
    smooth = gaussian_blur(filled[None, None], (1.5, 1.5, 1.5))[0, 0]
    error = smooth_noise(MODEL_GRID.shape, round(u(5, 12)), 1, generator)[0, 0]
    mask = smooth > u(0.2, 0.7) + u(0.03, 0.15) * error
    if u(0, 1) < 0.3:
        level = u(0.05, 0.35) * image[brain[0] > 0].median()
        mask &= gaussian_blur(image[None, None], (1.0, 1.0, 1.0))[0, 0] > level
    if u(0, 1) < 0.15:
        cut = round(u(1, 12))
        inside = mask.any(dim=1).any(dim=0).nonzero()
        if u(0, 1) < 0.5:
            mask[..., : int(inside.min()) + cut] = False
        else:
            mask[..., int(inside.max()) + 1 - cut :] = False
    return mask


def closing(mask: Tensor, radius: int) -> Tensor:
    """Morphological closing of (X, Y, Z) in [0, 1] with a cube of half-width `radius` voxels."""
    padded = F.pad(mask[None, None], [radius] * 6)
    closed = -_cube_maximum(-_cube_maximum(padded, radius), radius)
    return closed[0, 0, radius:-radius, radius:-radius, radius:-radius]


def _cube_maximum(x: Tensor, radius: int) -> Tensor:
    for axis in range(3):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis], padding[axis] = 2 * radius + 1, radius
        x = F.max_pool3d(x, size, stride=1, padding=padding)
    return x
