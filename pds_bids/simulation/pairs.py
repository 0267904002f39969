"""One anatomy to pairs of volumes as the app would hand them to the networks.

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
from pds_bids.simulation.artefacts import spoiled
from pds_bids.simulation.cells import Cells, cells_of
from pds_bids.simulation.deformation import deform, random_diffeomorphism
from pds_bids.simulation.disease import Person, condition
from pds_bids.simulation.field import field_map, half_extent_mm
from pds_bids.simulation.head import aged_anatomy, tissue_maps
from pds_bids.simulation.masks import brain_mask, filled_brain
from pds_bids.simulation.physics import (
    TissueProperties,
    dropout_attenuation,
    rician_mean,
    tissue_properties,
)
from pds_bids.simulation.protocol import (
    Acquisition,
    random_acquisition,
    random_t1w,
    reference_acquisition,
)
from pds_bids.simulation.sites import Site
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise
from pds_bids.simulation.sulci import with_sulci
from pds_bids.simulation.texture import noise_of_scale, primary_cortex, structure_gains, texture
from pds_bids.simulation.vessels import veins
from pds_bids.simulation.weighting import magnetisation, t1w_magnetisation

PRIVATE_SHARE = 0.5
"""Variance of texture and of sulcal brightness that one scan does not share with the others of its pair."""

SULCAL_MM = 3.0
"""Scale on which sulcal fluid, vessels and membranes take turns."""


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
    t1w
        (X, Y, Z) float32 T1-weighted image of the same head, free of distortion and dropout.
    tissue
        (3, X, Y, Z) fractions of grey matter, white matter and CSF.
    structures
        (160, 192, 176) uint8 truth at 1 mm.
    """

    sources: dict[Modality, Tensor]
    targets: dict[Modality, Tensor]
    masks: dict[Modality, Tensor]
    t1w: Tensor
    tissue: Tensor
    structures: Tensor


@dataclass(frozen=True)
class _Body:
    """What lies in the scanner.

    Attributes
    ----------
    structures
        (160, 192, 176) uint8.
    cells
        The same with its properties, on `MODEL_GRID`.
    brain
        As of `filled_brain`.
    fractions
        (3, X, Y, Z) of `TISSUES`.
    """

    structures: Tensor
    cells: Cells
    brain: Tensor
    fractions: Tensor


@dataclass(frozen=True)
class _Interior:
    """What no label map shows of a body, each (X, Y, Z): all scans of one pair share it.

    Attributes
    ----------
    field
        Static field.
    veins, primary
        Shares of venous blood and of primary cortex.
    texture, sulcal
        How signal varies within tissues and within sulcal fluid, of unit variance.
    """

    field: Tensor
    veins: Tensor
    primary: Tensor
    texture: Tensor
    sulcal: Tensor


def simulate_pairs(
    structures: Tensor,
    generator: torch.Generator,
    n: int,
    sd_mm: float = 3.0,
    person: Person | None = None,
    sites: Sequence[Site] = (),
) -> list[Pair]:
    """Several pairs of scans of one random variant of an anatomy, each by other scanners.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes, brain affinely aligned to the atlas.
    generator
        The only source of randomness; its device is where the work is done.
    n
        Pairs. The first does not depend on how many follow.
    sd_mm
        Standard deviation of the anatomical deformation; 0 keeps all but the sulci as they are.
    person
        Whose age and disease change the regions; None leaves them as they are in the anatomy.
    sites
        Where sources come from, in turn; from anywhere where none is named.
    """
    structures, tissue = _anatomy(structures, generator, sd_mm, person)
    body = _body(structures, tissue)
    return [_scanned(body, generator, sites[k % len(sites)] if sites else None) for k in range(n)]


def _anatomy(
    structures: Tensor, generator: torch.Generator, sd_mm: float, person: Person | None
) -> tuple[Tensor, TissueProperties]:
    """(160, 192, 176) structures and tissue maps."""
    if person is not None:
        today = condition(person)
        structures, regions = aged_anatomy(structures, today, generator, sd_mm)
        structures = with_sulci(structures, generator, person.age)
        return structures, tissue_maps(structures, regions, today, generator)
    if sd_mm > 0:
        structures = deform(structures, random_diffeomorphism(generator, sd_mm))
    structures = with_sulci(structures, generator)
    return structures, tissue_properties(generator).at(structures)


def _body(structures: Tensor, tissue: TissueProperties) -> _Body:
    cells = cells_of(structures, tissue)
    fractions = torch.stack([cells.fraction(*members) for members in TISSUES.values()])
    return _Body(structures, cells, filled_brain(cells), fractions)


def _interior(body: _Body, generator: torch.Generator) -> _Interior:
    return _Interior(
        field=field_map(generator),
        veins=veins(body.cells.fraction(Structure.SULCAL), generator),
        primary=primary_cortex(generator) * body.fractions[0],
        texture=texture(generator),
        sulcal=noise_of_scale(SULCAL_MM, generator)[0],
    )


def _scanned(body: _Body, generator: torch.Generator, site: Site | None) -> Pair:
    interior = _interior(body, generator)

    def source_scan(modality: Modality) -> Acquisition:
        return site.acquisition(modality) if site else random_acquisition(modality, generator)

    def image(values: Tensor, scan: Acquisition) -> Tensor:
        moment = _moment(values, body.cells, interior, scan, generator)
        return _acquire(moment, interior.field, scan, generator)

    def weighted(modality: Modality, scan: Acquisition) -> Tensor:
        return image(magnetisation(modality, body.cells.tissue, body.cells.structure, scan), scan)

    sources = {m: spoiled(weighted(m, source_scan(m)), generator) for m in Modality}
    targets = {m: weighted(m, reference_acquisition(m, generator)) for m in Modality}
    masks = {m: brain_mask(body.brain, sources[m], generator) for m in Modality}
    anatomical = random_t1w(generator)
    t1w = image(t1w_magnetisation(body.cells.tissue, anatomical), anatomical)
    return Pair(sources, targets, masks, t1w, body.fractions, body.structures)


def _moment(
    values: Tensor, cells: Cells, interior: _Interior, scan: Acquisition, generator: torch.Generator
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
