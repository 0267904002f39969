"""One person's head on one day: structures, tissue properties, fibres and static field."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.atrophy import resizing_grid
from pds_bids.simulation.deformation import deform, random_diffeomorphism
from pds_bids.simulation.disease import Condition, Person, condition
from pds_bids.simulation.effects import FLUID
from pds_bids.simulation.fibres import fibre_directions
from pds_bids.simulation.field import FIELD_PEAK_HZ, field_map
from pds_bids.simulation.physics import TissueProperties, tissue_properties
from pds_bids.simulation.regions import Region, regions_of
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise

SHIM_SD_HZ = 8.0
"""What the shim leaves elsewhere [R]."""

MAXIMAL_FA = 0.95

SCALED = ("md", "fa", "t2_star")
"""Properties that a condition changes by region."""

TRANSITION_MM = 4.0
"""Blur of the factors where regions meet (standard deviation): disease stops at no border of an atlas."""


@dataclass(frozen=True)
class Head:
    """A head in model space.

    Attributes
    ----------
    structures, regions
        (160, 192, 176) uint8 each: `Structure` and `Region` on the 1 mm lattice.
    tissue
        Properties whose fields are (160, 192, 176) float32 maps, so that the signal equations give images.
    fibres
        (3, 80, 96, 88) unit vectors (x, y, z) in RAS+ on `MODEL_GRID`.
    field_hz
        (80, 96, 88) static field in Hz on `MODEL_GRID`.
    """

    structures: Tensor
    regions: Tensor
    tissue: TissueProperties
    fibres: Tensor
    field_hz: Tensor


@dataclass(frozen=True)
class RegionalMeans:
    """What could be measured in one region: volume in ml, MD in mm2/s, FA, T2* in ms."""

    volume_ml: float
    md: float
    fa: float
    t2_star: float


def build_head(anatomy: Tensor, person: Person, years: float, seed: int) -> Head:
    """The head of a person some years after the first visit.

    Parameters
    ----------
    anatomy
        (160, 192, 176) uint8 `Structure` at 1 mm in model space, on the device to work on.
    years
        Since baseline.
    seed
        Of the subject: everything but age and disease follows from it, so that sessions share one anatomy.
    """
    structures, regions, tissue = build_tissue(anatomy, person, years, seed)
    return Head(
        structures=structures,
        regions=regions,
        tissue=tissue,
        fibres=fibre_directions(structures),
        field_hz=static_field(_generator(anatomy, seed, "field")),
    )


def build_tissue(
    anatomy: Tensor, person: Person, years: float, seed: int
) -> tuple[Tensor, Tensor, TissueProperties]:
    """Structures, regions and tissue of `build_head` alone: enough to measure volumes and properties."""
    today = condition(person, years)
    structures, regions = aged_anatomy(anatomy, today, _generator(anatomy, seed, "anatomy"))
    return structures, regions, tissue_maps(structures, regions, today, _generator(anatomy, seed, "tissue"))


def aged_anatomy(
    anatomy: Tensor, today: Condition, generator: torch.Generator, sd_mm: float = 3.0
) -> tuple[Tensor, Tensor]:
    """Structures and regions, (160, 192, 176) uint8 each, of a random variant of an anatomy.

    Its regions take today's volumes: those of the healthy variant times the factors of the condition.

    Parameters
    ----------
    sd_mm
        As for `random_diffeomorphism`.

    Raises
    ------
    VolumesNotReached
        If no invertible map gives them.
    """
    healthy = deform(anatomy, random_diffeomorphism(generator, sd_mm))
    regions = regions_of(healthy)
    where = resizing_grid([regions == region for region in today.volume], list(today.volume.values()))
    return deform(healthy, where), deform(regions, where)


def tissue_maps(
    structures: Tensor, regions: Tensor, today: Condition, generator: torch.Generator
) -> TissueProperties:
    """Table value of each structure x deviation of the subject x factor of each region's condition.

    MD and FA deviate by region only: the condition holds the whole of their spread between people, and a
    deviation by structure on top of it would shrink the effects of disease measured in standard deviations.
    """
    table = tissue_properties()
    deviating = tissue_properties(generator)
    device = structures.device
    maps = replace(deviating, md=table.md.to(device), fa=table.fa.to(device)).at(structures)
    factors = dict(zip(SCALED, _factor_maps(today, regions), strict=True))
    scaled = replace(maps, **{name: getattr(maps, name) * factor for name, factor in factors.items()})
    return replace(scaled, fa=scaled.fa.clamp(max=MAXIMAL_FA))


def _factor_maps(today: Condition, regions: Tensor) -> Tensor:
    """(3, 160, 192, 176) factors of `SCALED`: smooth from region to region, of the asked mean in each.

    A region lost in its neighbours by the blur gets the difference back as a step at its border.
    """
    device, codes = regions.device, regions.long()
    asked = torch.tensor(
        [[getattr(today, name).get(r, 1.0) - 1 for r in Region] for name in SCALED], device=device
    )
    solid = torch.tensor([r not in FLUID for r in Region], device=device)[codes].float()
    change = F.avg_pool3d(torch.cat([asked[:, codes], solid[None]])[None], 2)
    blurred = gaussian_blur(change, [TRANSITION_MM / 2] * 3)  # 2 mm voxels
    coarse = blurred[:, :-1] / blurred[:, -1:].clamp(min=1e-3)
    smooth = F.interpolate(coarse, scale_factor=2, mode="trilinear")[0] * solid
    lost = asked - torch.stack([_sums(codes, each) for each in smooth]) / _sums(codes).clamp(min=1)
    return 1 + smooth + lost.float()[:, codes]


def _sums(codes: Tensor, values: Tensor | None = None) -> Tensor:
    """(n_regions,) sum of a map over each region, or the number of its voxels."""
    weights = None if values is None else values.flatten().double()
    return torch.bincount(codes.flatten(), weights, minlength=len(Region))


def static_field(generator: torch.Generator) -> Tensor:
    """(80, 96, 88) static field in Hz: worst beside the air cavities, a smooth rest of the shim elsewhere."""
    rest = smooth_noise(MODEL_GRID.shape, 2, 1, generator)[0, 0]
    return FIELD_PEAK_HZ * field_map(generator) + SHIM_SD_HZ * rest


def regional_means(regions: Tensor, tissue: TissueProperties) -> dict[Region, RegionalMeans]:
    """Volume and mean properties of every region that a head has, the outside left out."""
    codes = regions.long()
    counts = _sums(codes)
    sums = {name: _sums(codes, getattr(tissue, name)) for name in SCALED}
    return {
        region: RegionalMeans(
            volume_ml=float(counts[region]) / 1000,
            **{name: float(total[region] / counts[region]) for name, total in sums.items()},
        )
        for region in Region
        if region is not Region.NONE and counts[region] > 0
    }


def _generator(anatomy: Tensor, seed: int, purpose: str) -> torch.Generator:
    return torch.Generator(anatomy.device).manual_seed(derived_seed(seed, purpose))
