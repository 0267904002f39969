from __future__ import annotations

import math

import pytest
import torch

from pds_bids.models.denoiser import BANDS, N_CONTEXT
from pds_bids.models.refine import N_TISSUES, Refined

SIZE = (5, 4, 6)


@pytest.fixture
def estimate(generator):
    return torch.randn((2, BANDS, *SIZE), generator=generator)


@pytest.fixture
def context(generator):
    return torch.randn((2, N_CONTEXT, *SIZE), generator=generator)


@pytest.fixture
def source(generator):
    return torch.randn((2, BANDS, *SIZE), generator=generator)


def test_an_untrained_refiner_changes_nothing(model, estimate, source, context):
    refined = model.refiner(estimate, source, torch.zeros_like(estimate), torch.tensor([0, 1]), context)

    assert torch.equal(refined.bands_BKXYZ, estimate)
    assert refined.log_scale_BKXYZ.unique().tolist() == [-2.0]


def test_shapes(model, awake, estimate, source, context):
    refined = awake(model.refiner)(
        estimate, source, torch.zeros_like(estimate), torch.tensor([0, 1]), context
    )

    assert refined.bands_BKXYZ.shape == refined.log_scale_BKXYZ.shape == estimate.shape
    assert [t.shape for t in refined.tissue_logits] == [(2, N_TISSUES, *SIZE)] * 2
    assert refined.voxel_log_scale().shape == (2, 1, *(2 * n for n in SIZE))


@pytest.mark.parametrize("changed", ["estimate", "source", "spread", "target", "context"])
def test_every_input_matters(model, awake, estimate, source, context, changed):
    refiner = awake(model.refiner)
    inputs = {
        "estimate": estimate,
        "source": source,
        "spread": torch.zeros_like(estimate),
        "target": torch.tensor([0, 0]),
        "context": context,
    }
    before = refiner(*inputs.values())
    inputs[changed] = inputs[changed] + 1

    after = refiner(*inputs.values())

    residuals = before.bands_BKXYZ - estimate, after.bands_BKXYZ - inputs["estimate"]
    assert not torch.allclose(*residuals)


def test_one_projector_sees_the_tissues_of_both_modalities(model, awake, estimate, source, context):
    refiner, target = awake(model.refiner), torch.tensor([1, 0])

    of_source, of_target = refiner(
        estimate, source, torch.zeros_like(estimate), target, context
    ).tissue_logits

    torch.testing.assert_close(of_source, refiner.tissues(source, 1 - target))
    assert not torch.allclose(of_source, of_target)


def test_the_scale_stays_believable():
    wild = torch.tensor([-1e9, 1e9] * 4).view(1, 8, 1, 1, 1)

    scale = Refined(wild, wild, (wild, wild)).voxel_log_scale().exp()

    torch.testing.assert_close(scale.unique(), torch.tensor([math.exp(-7), math.exp(2)]))
