from __future__ import annotations

import math

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.training.data import PairBank, make_batch
from pds_bids.training.finish import CALIBRATED_LEVEL, calibrate, predict, set_templates


@pytest.fixture
def one_pair(samples, tmp_path) -> PairBank:
    bank = PairBank.create(tmp_path, 1)
    bank.put(0, samples[0], 0)
    return bank


@pytest.mark.parametrize("target", range(len(Modality)))
def test_the_template_of_one_pair_is_that_pair(model, one_pair, target):
    set_templates(model, one_pair)

    batch = make_batch(one_pair.get([0]), [target], None)
    torch.testing.assert_close(model.templates[target], (batch.images[0, target] + 1) * batch.mask[0, 0])


def test_templates_are_means_over_the_masks_that_cover_a_voxel(model, bank):
    set_templates(model, bank)

    pairs = [make_batch(bank.get([row]), [0], None) for row in range(len(bank))]
    covered = torch.stack([p.mask[0, 0] for p in pairs])
    values = torch.stack([p.images[0, 0] + 1 for p in pairs])
    voxel = (40, 48, 20)
    assert covered[(..., *voxel)].all()
    torch.testing.assert_close(model.templates[(0, *voxel)], values[(..., *voxel)].mean())
    rim = (covered.sum(0) == 1).nonzero()[0]
    owner = covered[(..., *rim)].argmax()
    torch.testing.assert_close(model.templates[(0, *rim)], values[(owner, *rim)])
    assert model.templates[0, 0, 0, 0] == 0


@pytest.mark.parametrize("target", range(len(Modality)))
def test_an_untrained_model_predicts_the_mean_of_the_bands(model, bank, target):
    batch = make_batch(bank.get([0]), [target], None)
    model.subbands.standardise(torch.full((2, 8), 0.1), torch.ones(2, 8))

    estimate, refined, scale = predict(model, batch)

    expected = model.subbands.merge(torch.zeros(1, 2, 8, *(n // 2 for n in batch.images.shape[2:])))
    assert torch.equal(estimate, refined)
    torch.testing.assert_close(estimate, expected[:, :1])
    assert scale.shape == estimate.shape
    assert scale.unique().item() == pytest.approx(math.exp(-2))


def test_calibrated_intervals_hold_what_they_promise(model, one_pair):
    factors = calibrate(model, one_pair)

    for target, modality in enumerate(Modality):
        batch = make_batch(one_pair.get([0]), [target], None)
        _, refined, scale = predict(model, batch)
        error = (refined - batch.images[:, target : target + 1]).abs()
        half_width = -math.log(1 - CALIBRATED_LEVEL) * scale * model.scale_factor[target]
        held = (error <= half_width)[batch.mask > 0].float().mean().item()
        assert held == pytest.approx(CALIBRATED_LEVEL, abs=0.02)
        assert factors[modality.value] == pytest.approx(model.scale_factor[target].item(), abs=1e-4)
