"""One anatomy to one pair of volumes as the app would hand them to the networks.

Everything random comes from one generator. The order of events is that of a scan: anatomy, magnetisation,
field, image, noise; blur, misalignment and mask errors are what preprocessing leaves behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import TISSUES, Structure
from pds_bids.simulation.deformation import deform, identity_grid, random_diffeomorphism, smooth_noise
from pds_bids.simulation.physics import dropout_attenuation, rician_mean, tissue_properties
from pds_bids.simulation.protocol import (
    Acquisition,
    magnetisation,
    random_acquisition,
    reference_acquisition,
    uniform,
)

AIR_CAVITIES_MM = ((0.0, 38.0, -24.0), (-48.0, -18.0, -38.0), (48.0, -18.0, -38.0))
"""Sphenoid and frontal sinuses, left and right ear canals: where the static field is bad."""


@dataclass(frozen=True)
class Pair:
    """Both modalities of one simulated subject on `MODEL_GRID`, positive values in arbitrary units.

    Attributes
    ----------
    sources
        (X, Y, Z) float32 each, from any protocol: what the app may be given.
    targets
        (X, Y, Z) float32 each, from about the reference protocol: what it is to synthesise.
    masks
        (X, Y, Z) bool each: the brain mask the app would derive from that modality, errors included.
    tissue
        (3, X, Y, Z) fractions of grey matter, white matter and CSF.
    structures
        (160, 192, 176) uint8 truth at 1 mm.
    """

    sources: dict[Modality, Tensor]
    targets: dict[Modality, Tensor]
    masks: dict[Modality, Tensor]
    tissue: Tensor
    structures: Tensor


def _pool(fine: Tensor) -> Tensor:
    """(C, 160, 192, 176) at 1 mm to (C, 80, 96, 88) block means."""
    return F.avg_pool3d(fine[None], 2)[0]


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


def _half_extent_mm(device: torch.device) -> Tensor:
    """(3,) from the centre of `MODEL_GRID` to its last voxel centre, (z, y, x): voxels are 2 mm."""
    return torch.tensor([n - 1.0 for n in reversed(MODEL_GRID.shape)], device=device)


def _millimetres(device: torch.device) -> Tensor:
    """(X, Y, Z, 3) positions of `MODEL_GRID` voxels in mm, last axis (z, y, x)."""
    corner = torch.tensor([float(v) for v in reversed(MODEL_GRID.affine[:3, 3])], device=device)
    half = _half_extent_mm(device)
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


def _acquire(
    moment: Tensor,
    field: Tensor,
    texture: Tensor,
    scan: Acquisition,
    generator: torch.Generator,
) -> Tensor:
    """(X, Y, Z) transverse magnetisation at 2 mm to the reconstructed, averaged, resampled image."""
    device, shape = generator.device, MODEL_GRID.shape
    private = smooth_noise(shape, 16, 1, generator)[0, 0]
    image = moment * (1 + 0.03 * texture + 0.03 * private)
    image = image * dropout_attenuation(scan.dropout * field, scan.fwhm_mm[2], scan.te_ms)

    half = _half_extent_mm(device)
    misaligned = torch.eye(3, 4, device=device)
    misaligned[:, 3] = 0.4 * torch.randn(3, generator=generator, device=device) / half
    where = F.affine_grid(misaligned[None], [1, 1, *shape], align_corners=True)
    where[0, ..., 1] += scan.shift_mm * field / half[1]
    pile_up = (1 + scan.shift_mm / 2.0 * torch.gradient(field, dim=1)[0]).clamp(0.1, 3)  # 2 mm voxels
    image = F.grid_sample(image[None, None], where, align_corners=True) * pile_up

    sigma = [max(f**2 - 2.0**2, 0.0) ** 0.5 / 2.355 / 2.0 for f in scan.fwhm_mm]  # of what 2 mm voxels lack
    image = gaussian_blur(image, sigma)[0, 0]
    image = image * torch.exp(scan.bias_sd * smooth_noise(shape, 2, 1, generator)[0, 0])
    noise = torch.randn(shape, generator=generator, device=device) * scan.noise / scan.n_volumes**0.5
    return (rician_mean(image.clamp(min=1e-4), scan.noise) + noise).clamp(min=0)


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


def _brain_mask(structures: Tensor, generator: torch.Generator) -> Tensor:
    """(X, Y, Z) bool: brain with ventricles and sulci; edge a few mm wrong, sometimes a cut field of view."""
    parenchyma = _pool(((structures > Structure.SOFT) & (structures != Structure.SULCAL))[None].float())[0]
    head = _pool((structures > Structure.SOFT)[None].float())[0]
    filled = closing((parenchyma > 0.5).float(), 6) * head
    smooth = gaussian_blur(filled[None, None], (1.5, 1.5, 1.5))[0, 0]
    threshold = uniform(generator, 0.35, 0.7) + 0.08 * smooth_noise(MODEL_GRID.shape, 8, 1, generator)[0, 0]
    mask = smooth > threshold
    if uniform(generator, 0, 1) < 0.15:
        cut = round(uniform(generator, 1, 12))
        inside = mask.any(dim=1).any(dim=0).nonzero()
        if uniform(generator, 0, 1) < 0.5:
            mask[..., : int(inside.min()) + cut] = False
        else:
            mask[..., int(inside.max()) + 1 - cut :] = False
    return mask


def simulate_pair(structures: Tensor, generator: torch.Generator, sd_mm: float = 3.0) -> Pair:
    """Both modalities of one random variant of an anatomy.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes, brain affinely aligned to the atlas.
    generator
        The only source of randomness; its device is where the work is done.
    sd_mm
        Standard deviation of the anatomical deformation; 0 keeps the anatomy as it is.
    """
    if sd_mm > 0:
        structures = deform(structures, random_diffeomorphism(generator, sd_mm))
    codes = structures.long()
    field = field_map(generator)
    texture = smooth_noise(MODEL_GRID.shape, 16, 1, generator)[0, 0]
    properties = tissue_properties(generator)

    def scanned(modality: Modality, scan: Acquisition) -> Tensor:
        fine = magnetisation(modality, properties, scan)[codes]
        return _acquire(_pool(fine[None])[0], field, texture, scan, generator)

    sources = {m: scanned(m, random_acquisition(m, generator)) for m in Modality}
    targets = {m: scanned(m, reference_acquisition(m, generator)) for m in Modality}
    masks = {modality: _brain_mask(structures, generator) for modality in Modality}
    fractions = torch.stack(
        [torch.isin(codes, torch.tensor(c, device=codes.device)) for c in TISSUES.values()]
    )
    return Pair(sources, targets, masks, _pool(fractions.float()), structures)
