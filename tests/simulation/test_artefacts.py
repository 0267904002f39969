from __future__ import annotations

import pytest
import torch

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.artefacts import ARTEFACTS, clipped, ghost, lost_slices, ringing, spoiled
from pds_bids.simulation.protocol import uniform


@pytest.fixture
def slab() -> torch.Tensor:
    image = torch.zeros(MODEL_GRID.shape)
    image[20:60, 40:60, 20:70] = 1.0
    return image


@pytest.fixture
def u(generator):
    return lambda low, high: uniform(generator, low, high)


@pytest.mark.parametrize("artefact", [a for _, a in ARTEFACTS], ids=lambda a: a.__name__)
def test_an_artefact_changes_the_image(artefact, slab, u, generator):
    grainy = 0.1 + slab * torch.rand(slab.shape, generator=generator) * 2

    assert not torch.allclose(artefact(grainy, u, generator), grainy)


def test_ringing_oscillates_beside_an_edge_and_keeps_the_mean(slab, u, generator):
    rung = ringing(slab, u, generator)

    assert rung.max() > 1.02
    assert rung.min() < -0.02
    torch.testing.assert_close(rung.mean(), slab.mean(), rtol=1e-4, atol=0)


def test_a_ghost_lies_half_a_field_of_view_away(slab, u, generator):
    faint = ghost(slab, u, generator) - slab

    assert 0.01 <= faint.max() <= 0.06
    assert faint[:, 40:60].max() == 0


def test_lost_slices_are_empty_and_few(u, generator):
    kept = lost_slices(torch.ones(MODEL_GRID.shape), u, generator).amax((0, 1))

    assert 1 <= (kept == 0).sum() <= 3


def test_clipping_lowers_the_brightest_only(slab, u, generator):
    slab[30, 50, 40] = 9.0
    saturated = clipped(slab, u, generator)

    assert saturated.max() <= 2
    assert torch.equal(saturated[slab < 1.2], slab[slab < 1.2])


def test_spoiled_images_follow_from_their_seed(slab):
    first, second, third = (spoiled(slab, torch.Generator().manual_seed(s)) for s in (1, 1, 4))

    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert first.min() >= 0
