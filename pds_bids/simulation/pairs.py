"""One anatomy to one pair of volumes as the app would hand them to the networks.

Everything random comes from one generator. The order of events is that of a scan: anatomy, magnetisation,
field, image, noise; blur, misalignment and mask errors are what preprocessing leaves behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import TISSUES, Structure
from pds_bids.simulation.deformation import deform, random_diffeomorphism
from pds_bids.simulation.disease import Person, condition
from pds_bids.simulation.field import field_map, half_extent_mm
from pds_bids.simulation.head import aged_anatomy, tissue_maps
from pds_bids.simulation.physics import (
    TissueProperties,
    dropout_attenuation,
    mprage_signal,
    rician_mean,
    tissue_properties,
)
from pds_bids.simulation.protocol import (
    Acquisition,
    magnetisation,
    random_acquisition,
    reference_acquisition,
    uniform,
)
from pds_bids.simulation.smoothing import block_means, gaussian_blur, smooth_noise


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
    t1w: Tensor
    masks: dict[Modality, Tensor]
    tissue: Tensor
    structures: Tensor


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

    half = half_extent_mm(device)
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
    parenchyma = block_means(
        ((structures > Structure.SOFT) & (structures != Structure.SULCAL))[None].float()
    )[0]
    head = block_means((structures > Structure.SOFT)[None].float())[0]
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


def simulate_pair(
    structures: Tensor, generator: torch.Generator, sd_mm: float = 3.0, person: Person | None = None
) -> Pair:
    """Both modalities of one random variant of an anatomy.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes, brain affinely aligned to the atlas.
    generator
        The only source of randomness; its device is where the work is done.
    sd_mm
        Standard deviation of the anatomical deformation; 0 keeps the anatomy as it is.
    person
        Whose age and disease change the regions; None leaves them as they are in the anatomy.
    """
    structures, tissue = _body(structures, generator, sd_mm, person)
    codes = structures.long()
    field = field_map(generator)
    texture = smooth_noise(MODEL_GRID.shape, 16, 1, generator)[0, 0]

    def scanned(modality: Modality, scan: Acquisition) -> Tensor:
        fine = magnetisation(modality, tissue, codes, scan)
        return _acquire(block_means(fine[None])[0], field, texture, scan, generator)

    sources = {m: scanned(m, random_acquisition(m, generator)) for m in Modality}
    targets = {m: scanned(m, reference_acquisition(m, generator)) for m in Modality}
    masks = {modality: _brain_mask(structures, generator) for modality in Modality}
    fractions = torch.stack(
        [torch.isin(codes, torch.tensor(c, device=codes.device)) for c in TISSUES.values()]
    )
    t1w = block_means(mprage_signal(tissue, 2400, 1000, 3, 8)[None])[0]
    return Pair(sources, targets, t1w, masks, block_means(fractions.float()), structures)


def _body(
    structures: Tensor, generator: torch.Generator, sd_mm: float, person: Person | None
) -> tuple[Tensor, TissueProperties]:
    """(160, 192, 176) structures and tissue maps."""
    if person is not None:
        today = condition(person)
        structures, regions = aged_anatomy(structures, today, generator, sd_mm)
        return structures, tissue_maps(structures, regions, today, generator)
    if sd_mm > 0:
        structures = deform(structures, random_diffeomorphism(generator, sd_mm))
    return structures, tissue_properties(generator).at(structures)
