"""What the denoiser is told besides the modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.denoiser import N_CONTEXT, coordinates
from pds_bids.models.pattern import N_PLACES, PatternValues

SIZE = tuple(n // 4 for n in MODEL_GRID.shape)
BLOCKS = tuple(n // 2 for n in SIZE)
PLACES, T1W = slice(3, 3 + N_PLACES), slice(3 + N_PLACES, N_CONTEXT - 1)


@pytest.fixture
def t1w(generator) -> torch.Tensor:
    return torch.rand((2, 1, *SIZE), generator=generator)


@pytest.fixture
def knowing(model):
    atlas = RoiAtlas(("left",), np.array([[-40.0, -16, 6]]), np.array([30.0]), (RoiGroup.LIMBIC,))
    model.know(PatternValues(atlas, np.full((len(Modality), 1), -1.5), np.array([0.5]), 9, 4, 5))
    return model


def test_where_a_block_is_and_what_its_place_is_like(knowing, t1w):
    context = knowing.context(t1w, torch.tensor([True, True]))

    assert context.shape == (2, N_CONTEXT, *BLOCKS)
    torch.testing.assert_close(context[:1, :3], coordinates(BLOCKS, t1w))
    d_bold, d_dwi, rho, limbic, *others = context[0, PLACES]
    torch.testing.assert_close(d_bold, d_dwi)
    torch.testing.assert_close(d_bold, 3 * rho)
    torch.testing.assert_close(limbic, 2 * rho)
    assert limbic.max() == 1
    assert not any(other.any() for other in others)
    assert limbic[: BLOCKS[0] // 2].sum() > 10 > limbic[BLOCKS[0] // 2 :].sum()


def test_places_turn_with_the_person(knowing, t1w):
    has = torch.tensor([True, True])

    flipped = knowing.context(t1w, has, torch.tensor([False, True]))

    torch.testing.assert_close(flipped[1, PLACES], flipped[0, PLACES].flip(1))
    torch.testing.assert_close(flipped[1, :3], flipped[0, :3])


def test_without_a_t1w_nothing_of_the_volume_is_shown(model, t1w):
    here, absent = model.context(t1w, torch.tensor([True, False]))
    _, other = model.context(t1w + 7, torch.tensor([True, False]))

    assert here[T1W].std() > 0.1
    assert torch.equal(absent, other)
    assert not absent[T1W].any()
    assert (here[-1] == 1).all()
    assert (absent[-1] == 0).all()


def test_the_estimate_sees_the_t1w(model, awake, generator):
    awake(model)
    bands = torch.randn((1, len(Modality), 8, *BLOCKS), generator=generator)
    yes, target = torch.tensor([True]), torch.tensor([0])
    one, other = (torch.rand((1, 1, *SIZE), generator=generator) for _ in range(2))

    estimates = [model.refined(bands, target, model.context(t1w, yes))[0] for t1w in (one, other)]

    assert (estimates[0] - estimates[1]).abs().mean() > 1e-3 * estimates[0].abs().mean()
