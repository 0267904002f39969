"""One anatomy to what lies in the scanner: a variant of it, its tissues, and what no label map shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pds_bids.simulation.anatomy import TISSUES, Structure
from pds_bids.simulation.cells import Cells, cells_of
from pds_bids.simulation.deformation import deform, random_diffeomorphism
from pds_bids.simulation.disease import Person, condition
from pds_bids.simulation.field import field_map
from pds_bids.simulation.head import aged_anatomy, tissue_maps
from pds_bids.simulation.masks import filled_brain
from pds_bids.simulation.physics import TissueProperties, tissue_properties
from pds_bids.simulation.sulci import with_sulci
from pds_bids.simulation.texture import noise_of_scale, primary_cortex, texture
from pds_bids.simulation.vessels import veins

SULCAL_MM = 3.0
"""Scale on which sulcal fluid, vessels and membranes take turns."""


@dataclass(frozen=True)
class Body:
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
class Interior:
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


def grown(
    structures: Tensor, generator: torch.Generator, sd_mm: float, person: Person | None
) -> tuple[Tensor, TissueProperties]:
    """(160, 192, 176) structures and tissue maps of a random variant (see `pairs.simulate_pairs`)."""
    if person is not None:
        today = condition(person)
        structures, regions = aged_anatomy(structures, today, generator, sd_mm)
        structures = with_sulci(structures, generator, person.age)
        return structures, tissue_maps(structures, regions, today, generator)
    if sd_mm > 0:
        structures = deform(structures, random_diffeomorphism(generator, sd_mm))
    structures = with_sulci(structures, generator)
    return structures, tissue_properties(generator).at(structures)


def body_of(structures: Tensor, tissue: TissueProperties) -> Body:
    """What the scanner is given of (160, 192, 176) structures and tissue maps."""
    cells = cells_of(structures, tissue)
    fractions = torch.stack([cells.fraction(*members) for members in TISSUES.values()])
    return Body(structures, cells, filled_brain(cells), fractions)


def interior_of(body: Body, generator: torch.Generator) -> Interior:
    """What no label map shows of a body, drawn anew."""
    return Interior(
        field=field_map(generator),
        veins=veins(body.cells.fraction(Structure.SULCAL), generator),
        primary=primary_cortex(generator) * body.fractions[0],
        texture=texture(generator),
        sulcal=noise_of_scale(SULCAL_MM, generator)[0],
    )
