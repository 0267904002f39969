"""One anatomy to one pair of volumes as the app would hand them to the networks.

Everything random comes from one generator. The order of events is that of a scan: anatomy, magnetisation,
field, image, noise, and then what preprocessing leaves behind (misalignment, interpolation blur, mask errors).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import (
    TISSUES,
    Structure,
    deform,
    identity_grid,
    random_diffeomorphism,
    smooth_noise,
)
from pds_bids.simulation.physics import (
    TissueProperties,
    dropout_attenuation,
    gre_signal,
    rician_mean,
    spin_echo_signal,
    tissue_properties,
    trace_signal,
)

AIR_CAVITIES_MM = ((0.0, 38.0, -24.0), (-48.0, -18.0, -38.0), (48.0, -18.0, -38.0))
"""Sphenoid and frontal sinuses, left and right ear canals: where the static field is bad."""


@dataclass(frozen=True)
class Acquisition:
    """How one modality was scanned, and what preprocessing left of it.

    `tr_ms`, `te_ms`, `flip_deg`, `b_value` (s/mm2): contrast. `fwhm_mm` (3,): resolution after all interpolations.
    `shift_mm`: displacement along the phase axis (y) per unit of field. `noise`: sd of one volume relative to cortex
    at b = 0. `n_volumes`: volumes averaged. `rician`: magnitude noise matters. `bias_sd`: sd of the log of the
    bias field left by N4. `dropout`: gradient at the cavities in microtesla per metre.
    `inflow`: brightening of CSF by fresh spins.
    """

    tr_ms: float
    te_ms: float
    flip_deg: float
    b_value: float
    fwhm_mm: tuple[float, float, float]
    shift_mm: float
    noise: float
    n_volumes: int
    bias_sd: float
    dropout: float
    inflow: float


@dataclass(frozen=True)
class Pair:
    """Both modalities of one simulated subject on `MODEL_GRID`, positive values in arbitrary units.

    Attributes
    ----------
    images
        (X, Y, Z) float32 each.
    masks
        (X, Y, Z) bool each: the brain mask the app would derive from that modality, errors included.
    tissue
        (3, X, Y, Z) fractions of grey matter, white matter and CSF.
    structures
        (160, 192, 176) uint8 truth at 1 mm.
    """

    images: dict[Modality, Tensor]
    masks: dict[Modality, Tensor]
    tissue: Tensor
    structures: Tensor


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))


def random_acquisition(modality: Modality, generator: torch.Generator) -> Acquisition:
    """Draw a protocol from the range that clinical and research sites use."""

    def u(low: float, high: float) -> float:
        return _uniform(generator, low, high)

    sign = 1.0 if u(0, 1) < 0.5 else -1.0
    in_plane, slice_mm = u(2.0, 4.0), u(2.0, 4.5)
    common = {
        "fwhm_mm": (in_plane, in_plane, slice_mm),
        "shift_mm": sign * u(0, 10),
        "bias_sd": u(0.03, 0.18),
    }
    ranges = {
        Modality.BOLD: lambda: Acquisition(
            tr_ms=u(600, 3000),
            te_ms=u(24, 35),
            flip_deg=u(50, 90),
            b_value=0.0,
            noise=u(0.01, 0.03),
            n_volumes=50,
            dropout=u(30, 180),
            inflow=u(1.0, 1.35),
            **common,
        ),
        Modality.DWI: lambda: Acquisition(
            tr_ms=u(4500, 12000),
            te_ms=u(65, 100),
            flip_deg=90.0,
            b_value=u(700, 1300) if u(0, 1) < 0.75 else u(1300, 2500),
            noise=u(0.03, 0.07),
            n_volumes=round(u(6, 40)),
            dropout=0.0,
            inflow=1.0,
            **common,
        ),
    }
    return ranges[modality]()


def magnetisation(modality: Modality, tissue: TissueProperties, scan: Acquisition) -> Tensor:
    """(n_structures,) signal relative to cortex without diffusion weighting."""
    if modality is Modality.BOLD:
        signal = gre_signal(tissue, scan.tr_ms, scan.te_ms, scan.flip_deg)
        signal[Structure.CSF] *= scan.inflow
        return signal / signal[Structure.CORTEX]
    reference = spin_echo_signal(tissue, scan.tr_ms, scan.te_ms)[Structure.CORTEX]
    return trace_signal(tissue, scan.tr_ms, scan.te_ms, scan.b_value) / reference


def _pool(fine: Tensor) -> Tensor:
    """(C, 160, 192, 176) at 1 mm to (C, 80, 96, 88) block means."""
    return F.avg_pool3d(fine[None], 2)[0]


def gaussian_blur(x: Tensor, sigma_voxels: tuple[float, float, float]) -> Tensor:
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


def _millimetres(shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """(X, Y, Z, 3) positions of `MODEL_GRID` voxels in mm, last axis (z, y, x)."""
    corner = [float(v) for v in reversed(MODEL_GRID.affine[:3, 3])]
    half = torch.tensor([n - 1.0 for n in reversed(shape)], device=device)  # 2 mm voxels: half extent in mm
    return identity_grid(shape, device)[0] * half + half + torch.tensor(corner, device=device)


def field_map(generator: torch.Generator, shape: tuple[int, int, int] = MODEL_GRID.shape) -> Tensor:
    """Static field around the air cavities, (X, Y, Z), about 1 where it is worst."""
    device = generator.device
    position = _millimetres(shape, device)
    field = torch.zeros(shape, device=device)
    for cavity in AIR_CAVITIES_MM:
        jitter = 4 * torch.randn(3, generator=generator, device=device)
        offset = position - torch.tensor(cavity[::-1], device=device) - jitter
        width, height = _uniform(generator, 10, 18), _uniform(generator, 0.5, 1.2)
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
    device, shape = generator.device, tuple(moment.shape)
    private = smooth_noise(shape, 16, 1, generator)[0, 0]
    image = moment * (1 + 0.03 * texture + 0.03 * private)
    image = image * dropout_attenuation(scan.dropout * field, scan.fwhm_mm[2], scan.te_ms)

    half = torch.tensor([n - 1.0 for n in reversed(shape)], device=device)
    rigid = torch.eye(3, 4, device=device)
    rigid[:, 3] = 0.4 * torch.randn(3, generator=generator, device=device) / half
    where = F.affine_grid(rigid[None], [1, 1, *shape], align_corners=True)
    where[0, ..., 1] += scan.shift_mm * field / half[1]
    pile_up = (1 + scan.shift_mm / 2.0 * torch.gradient(field, dim=1)[0]).clamp(0.1, 3)  # 2 mm voxels
    image = F.grid_sample(image[None, None], where, align_corners=True) * pile_up

    sigma = tuple(max(f**2 - 2.0**2, 0.0) ** 0.5 / 2.355 / 2.0 for f in scan.fwhm_mm)
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
    """(X, Y, Z) bool: brain with ventricles and sulci, edge wrong by a few mm, sometimes a cut field of view."""
    parenchyma = _pool(((structures > Structure.SOFT) & (structures != Structure.SULCAL))[None].float())[0]
    head = _pool((structures > Structure.SOFT)[None].float())[0]
    filled = closing((parenchyma > 0.5).float(), 6) * head
    smooth = gaussian_blur(filled[None, None], (1.5, 1.5, 1.5))[0, 0]
    shape = tuple(smooth.shape)
    threshold = _uniform(generator, 0.35, 0.7) + 0.08 * smooth_noise(shape, 8, 1, generator)[0, 0]
    mask = smooth > threshold
    if _uniform(generator, 0, 1) < 0.15:
        cut = round(_uniform(generator, 1, 12))
        inside = mask.any(dim=1).any(dim=0).nonzero()
        if _uniform(generator, 0, 1) < 0.5:
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
    images = {}
    for modality in Modality:
        scan = random_acquisition(modality, generator)
        fine = magnetisation(modality, properties, scan)[codes]
        images[modality] = _acquire(_pool(fine[None])[0], field, texture, scan, generator)
    masks = {modality: _brain_mask(structures, generator) for modality in Modality}
    fractions = torch.stack(
        [torch.isin(codes, torch.tensor(c, device=codes.device)) for c in TISSUES.values()]
    )
    return Pair(images, masks, _pool(fractions.float()), structures)
