"""Anatomies: which structure is where, and random smooth variants of it."""

from __future__ import annotations

import enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

FINE_SHAPE = (160, 192, 176)
"""Anatomies are 1 mm maps on this lattice: every voxel of `MODEL_GRID` is 2 x 2 x 2 of them."""

FINE_ORIGIN_MM = (-79.5, -112.5, -82.5)
"""World position of the first voxel centre, so that block means land on `MODEL_GRID` exactly."""


class Structure(enum.IntEnum):
    """What a voxel is made of. The order is that of the rows of the physics table."""

    AIR = 0
    SOFT = 1  # muscle, skin, eyes: seen only where a brain mask leaks
    CORTEX = 2
    WHITE = 3
    CALLOSUM = 4
    CSF = 5
    STRIATUM = 6
    PALLIDUM = 7
    THALAMUS = 8
    LIMBIC = 9  # hippocampus and amygdala
    BRAINSTEM = 10
    CEREBELLUM = 11
    LESION = 12  # white-matter hyperintensity
    CHOROID = 13
    SULCAL = 14  # CSF around the brain: darker on EPI than in the ventricles, for it is full of vessels


FREESURFER_LABELS = {
    Structure.CORTEX: (3, 42, 85),
    Structure.WHITE: (2, 41, 7, 46, 28, 60, 30, 62, 77),
    Structure.CALLOSUM: (251, 252, 253, 254, 255),
    Structure.CSF: (4, 43, 5, 44, 14, 15, 72),
    Structure.SULCAL: (24,),
    Structure.STRIATUM: (11, 50, 12, 51, 26, 58),
    Structure.PALLIDUM: (13, 52),
    Structure.THALAMUS: (10, 49),
    Structure.LIMBIC: (17, 53, 18, 54),
    Structure.BRAINSTEM: (16,),
    Structure.CEREBELLUM: (8, 47),
    Structure.LESION: (25, 57),
    Structure.CHOROID: (31, 63, 136, 137, 163, 164),
    Structure.SOFT: (502, 506, 507, 508, 509, 511, 512, 514, 516, 530),
}
"""FreeSurfer label numbers (FreeSurferColorLUT, and SynthSeg's 5xx outside the brain). Bone (515) is air."""

TISSUES = {
    "GM": (
        Structure.CORTEX,
        Structure.STRIATUM,
        Structure.PALLIDUM,
        Structure.THALAMUS,
        Structure.LIMBIC,
        Structure.CEREBELLUM,
    ),
    "WM": (Structure.WHITE, Structure.CALLOSUM, Structure.BRAINSTEM, Structure.LESION),
    "CSF": (Structure.CSF, Structure.CHOROID, Structure.SULCAL),
}
"""Tissue classes of the refiner, in channel order."""

CALLOSUM_BOX_MM = ((-5.0, 5.0), (-50.0, 40.0), (2.0, 40.0))
"""Where white matter is callosum, for maps that do not tell them apart."""


def structure_codes(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """FreeSurfer numbers to `Structure`, any shape; unknown numbers become air.

    Examples
    --------
    >>> structure_codes(np.array([[0, 2, 3, 17]])).tolist()
    [[0, 3, 2, 9]]
    """
    table = np.zeros(max(int(labels.max()), 1000) + 1, np.uint8)
    for structure, numbers in FREESURFER_LABELS.items():
        table[list(numbers)] = structure
    codes: NDArray[np.uint8] = table[labels]
    return codes


def with_callosum(structures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark the callosum on the 1 mm lattice in model space, if no voxel is marked yet."""
    if (structures == Structure.CALLOSUM).any():
        return structures
    box = [
        (low < (mm := np.arange(n) + origin)) & (mm < high)
        for n, origin, (low, high) in zip(FINE_SHAPE, FINE_ORIGIN_MM, CALLOSUM_BOX_MM, strict=True)
    ]
    inside = box[0][:, None, None] & box[1][:, None] & box[2]
    return np.where(inside & (structures == Structure.WHITE), np.uint8(Structure.CALLOSUM), structures)


def structures_from_tissues(
    gm: NDArray[np.floating], wm: NDArray[np.floating], brain: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """An anatomy from tissue probabilities alone: cortex, white matter, callosum, ventricles, sulcal CSF.

    Parameters
    ----------
    gm, wm
        (160, 192, 176) probabilities on the 1 mm lattice in model space.
    brain
        (160, 192, 176) brain mask; what is neither grey nor white in it is CSF: ventricular in a central box,
        sulcal elsewhere.
    """
    x, y, z = (np.arange(n) + o for n, o in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True))
    central = (np.abs(x) < 36)[:, None, None] & (np.abs(y + 20) < 55)[:, None] & (np.abs(z - 8) < 24)
    structures = np.where(central, Structure.CSF, Structure.SULCAL).astype(np.uint8)
    structures[(gm >= wm) & (gm > 0.4)] = Structure.CORTEX
    structures[(wm > gm) & (wm > 0.4)] = Structure.WHITE
    structures[~brain] = Structure.AIR
    return with_callosum(structures)


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
