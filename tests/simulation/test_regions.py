from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure
from pds_bids.simulation.regions import LANDMARKS_MM, Region, regions_of, territories

pytestmark = pytest.mark.slow

CONTENTS = {
    Region.NONE: {Structure.AIR, Structure.SOFT, Structure.SULCAL, Structure.CHOROID},
    Region.HIPPOCAMPUS: {Structure.HIPPOCAMPUS},
    Region.VENTRICLES: {Structure.CSF},
    Region.SPLENIUM: {Structure.CALLOSUM},
    Region.POSTERIOR_CINGULATE: {Structure.CORTEX},
    Region.POSTERIOR_CINGULUM: {Structure.WHITE, Structure.LESION},
}
"""What a region may consist of."""

SIDES = (-1, 1)


def at(volume: Tensor, mm: tuple[float, float, float]) -> int:
    """Value at a position in model space."""
    return int(volume[tuple(round(p - origin) for p, origin in zip(mm, FINE_ORIGIN_MM, strict=True))])


def filled(structure: Structure) -> Tensor:
    """Regions of a world of one structure."""
    return regions_of(torch.full(FINE_SHAPE, int(structure), dtype=torch.uint8))


@pytest.mark.parametrize("structure", Structure, ids=lambda s: s.name)
def test_every_voxel_has_a_region_that_may_hold_it(structure):
    found = {Region(r) for r in filled(structure).unique().tolist()}

    assert found
    for region, contents in CONTENTS.items():
        assert region not in found or structure in contents
        assert structure not in contents or region in found


def test_regions_of_a_head(phantom):
    regions = regions_of(phantom)

    assert regions.dtype == torch.uint8
    assert torch.equal(regions == Region.VENTRICLES, phantom == Structure.CSF)
    assert torch.equal(regions == Region.NONE, (phantom <= Structure.SOFT) | (phantom == Structure.SULCAL))
    assert torch.equal(regions, regions.flip(0)), "the phantom is symmetric"


def test_every_landmark_owns_its_place():
    for region, landmarks in LANDMARKS_MM.items():
        assert all(at(territories(), (x + 0.4, y + 0.4, z + 0.4)) == region for x, y, z in landmarks)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("mm", "grey", "white"),
    [
        ((60, -20, -10), Region.TEMPORAL, Region.TEMPORAL),
        ((40, 10, -35), Region.TEMPORAL, Region.TEMPORAL),
        ((30, -60, 55), Region.PARIETAL, Region.PARIETAL),
        ((7, -45, 27), Region.POSTERIOR_CINGULATE, Region.POSTERIOR_CINGULUM),
        ((22, -18, -24), Region.PARAHIPPOCAMPAL, Region.PARAHIPPOCAMPAL),
        ((20, 50, 20), Region.OTHER_GREY, Region.OTHER_WHITE),
        ((10, -90, 0), Region.OTHER_GREY, Region.OTHER_WHITE),
        ((38, 0, 5), Region.OTHER_GREY, Region.OTHER_WHITE),
        ((20, -60, -40), Region.CEREBELLUM, Region.CEREBELLUM),
    ],
)
def test_places_everyone_knows(side, mm, grey, white):
    x, y, z = mm

    assert at(filled(Structure.CORTEX), (side * x, y, z)) == grey
    assert at(filled(Structure.WHITE), (side * x, y, z)) == white


def test_the_cingulum_runs_near_the_midline():
    cingulum = filled(Structure.WHITE) == Region.POSTERIOR_CINGULUM
    x = torch.arange(FINE_SHAPE[0]) + FINE_ORIGIN_MM[0]

    assert x[cingulum.any(2).any(1)].abs().max() <= 16


def test_the_splenium_is_the_back_of_the_callosum():
    regions = filled(Structure.CALLOSUM)

    assert at(regions, (0, -40, 15)) == Region.SPLENIUM
    assert at(regions, (0, -25, 22)) == at(regions, (0, 25, 5)) == Region.OTHER_WHITE
