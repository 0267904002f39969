"""One body in one scanner to the image that preprocessing makes of its series, in the order of a scan:
magnetisation, field, image, noise; blur and misalignment are what preprocessing leaves behind.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.body import SULCAL_MM, Body, Interior
from pds_bids.simulation.cells import Cells
from pds_bids.simulation.field import half_extent_mm
from pds_bids.simulation.physics import dropout_attenuation, rician_mean
from pds_bids.simulation.protocol import Acquisition
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise
from pds_bids.simulation.texture import noise_of_scale, structure_gains, texture
from pds_bids.simulation.weighting import magnetisation

PRIVATE_SHARE = 0.5
"""Variance of texture and of sulcal brightness that one scan does not share with the others of its pair."""


def weighted(
    modality: Modality, scan: Acquisition, body: Body, interior: Interior, generator: torch.Generator
) -> Tensor:
    """(X, Y, Z) mean volume of a modality."""
    values = magnetisation(modality, body.cells.tissue, body.cells.structure, scan)
    return imaged(values, body, interior, scan, generator)


def imaged(
    values: Tensor, body: Body, interior: Interior, scan: Acquisition, generator: torch.Generator
) -> Tensor:
    """(X, Y, Z) image of what `weighting` says of each cell."""
    moment = _moment(values, body.cells, interior, scan, generator)
    return _acquire(moment, interior.field, scan, generator)


def _moment(
    values: Tensor, cells: Cells, interior: Interior, scan: Acquisition, generator: torch.Generator
) -> Tensor:
    """(X, Y, Z) transverse magnetisation: what the tables say of each cell, and what they do not."""
    values = values * structure_gains(scan.gain_sd, generator)[cells.structure]
    sulcal = cells.structure == Structure.SULCAL
    solid, fluid = cells.image(values * ~sulcal), cells.image(values * sulcal)

    def partly_private(shared: Tensor, private: Tensor) -> Tensor:
        return (1 - PRIVATE_SHARE) ** 0.5 * shared + PRIVATE_SHARE**0.5 * private

    within = partly_private(interior.texture, texture(generator))
    mixture = partly_private(interior.sulcal, noise_of_scale(SULCAL_MM, generator)[0])
    solid = solid * torch.exp(scan.texture_sd * within) * (1 - scan.primary * interior.primary)
    fluid = fluid * scan.sulcal * torch.exp(scan.sulcal_sd * mixture)
    return (solid + fluid) * (1 - scan.venous * interior.veins)


def _acquire(moment: Tensor, field: Tensor, scan: Acquisition, generator: torch.Generator) -> Tensor:
    """(X, Y, Z) transverse magnetisation at 2 mm to the reconstructed, averaged, resampled image."""
    device, shape = generator.device, MODEL_GRID.shape
    image = moment * dropout_attenuation(scan.dropout * field, scan.fwhm_mm[2], scan.te_ms)

    half = half_extent_mm(device)
    where = F.affine_grid(_misalignment(scan, half, generator)[None], [1, 1, *shape], align_corners=True)
    where[0, ..., 1] += scan.shift_mm * field / half[1]
    pile_up = (1 + scan.shift_mm / 2.0 * torch.gradient(field, dim=1)[0]).clamp(0.1, 3)  # 2 mm voxels
    image = F.grid_sample(image[None, None], where, align_corners=True) * pile_up

    sigma = [max(f**2 - 2.0**2, 0.0) ** 0.5 / 2.355 / 2.0 for f in scan.fwhm_mm]  # of what 2 mm voxels lack
    image = gaussian_blur(image, sigma)[0, 0]
    image = image * torch.exp(scan.bias_sd * smooth_noise(shape, 2, 1, generator)[0, 0])
    noise = torch.randn(shape, generator=generator, device=device) * scan.noise / scan.n_volumes**0.5
    image = (rician_mean(image.clamp(min=1e-4), scan.noise) + noise).clamp(min=0)
    level = 3 * image.mean()  # about the brain's mean: it fills a third of the grid
    return level * (image / level) ** scan.gamma


def _misalignment(scan: Acquisition, half: Tensor, generator: torch.Generator) -> Tensor:
    """(3, 4) small rigid motion in the coordinates of `grid_sample`, where axis i is 2 `half[i]` long."""
    shift, angles = torch.randn((2, 3), generator=generator, device=generator.device)
    turn = torch.deg2rad(scan.rigid_deg * angles)
    zero = torch.zeros((), device=half.device)
    cross = torch.stack([zero, -turn[2], turn[1], turn[2], zero, -turn[0], -turn[1], turn[0], zero])
    rotation = torch.linalg.matrix_exp(cross.view(3, 3)) * half / half[:, None]
    return torch.cat([rotation, (scan.rigid_mm * shift / half)[:, None]], 1)
