from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Laplace

from pds_bids.models.losses import (
    AIR_WEIGHT,
    band_weight,
    gradient_difference,
    laplace_nll,
    mean_by_sample,
    tissue_cross_entropy,
    voxel_weight,
    weighted_mean,
)


def test_weighted_mean_by_hand():
    error = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    assert weighted_mean(error, torch.tensor([[3.0], [1.0]])).item() == pytest.approx((3 * 3 + 7) / 8)


def test_weighted_mean_of_nothing_is_zero():
    assert weighted_mean(torch.ones(3), torch.zeros(3)).item() == 0


def test_samples_count_alike():
    error = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    weight = torch.tensor([[1.0, 0.0], [3.0, 1.0]])

    assert mean_by_sample(error, weight).item() == pytest.approx((1 + (9 + 5) / 4) / 2)
    assert mean_by_sample(error, torch.zeros(2, 1)).item() == 0


def test_air_counts_a_little():
    mask = torch.tensor([0.0, 1.0])

    torch.testing.assert_close(voxel_weight(mask), torch.tensor([AIR_WEIGHT, 1.0]))


def test_band_weight_is_the_mean_of_its_block():
    mask = torch.zeros(1, 1, 2, 2, 4)
    mask[0, 0, 0, 0, 0] = 1  # one voxel of eight of the first block

    torch.testing.assert_close(band_weight(mask).flatten(), torch.tensor([0.1 + 0.9 / 8, 0.1]))


def test_laplace_likelihood_agrees_with_torch(generator):
    error, log_scale = torch.randn((2, 50), generator=generator)

    expected = -Laplace(0.0, log_scale.exp()).log_prob(error) - math.log(2)

    torch.testing.assert_close(laplace_nll(error, log_scale), expected)


def test_the_likelihood_is_best_at_the_true_scale():
    error = Laplace(0.0, 0.3).icdf(torch.linspace(0.0005, 0.9995, 1000))

    def mean_nll(scale: float) -> float:
        return laplace_nll(error, torch.tensor(scale).log()).mean().item()

    assert mean_nll(0.3) < min(mean_nll(0.25), mean_nll(0.36))


def test_cross_entropy_by_hand():
    logits = torch.tensor([0.0, 0.0, math.log(2), 0.0]).view(1, 4, 1, 1, 1)
    fractions = torch.tensor([0.5, 0.0, 0.5, 0.0]).view(1, 4, 1, 1, 1)

    loss = tissue_cross_entropy(logits, fractions, torch.ones(1, 1, 1, 1, 1))

    assert loss.item() == pytest.approx(0.5 * math.log(5) + 0.5 * math.log(5 / 2))


def test_cross_entropy_looks_only_where_the_weight_is():
    logits = torch.zeros(1, 4, 1, 1, 2)
    logits[0, 0, 0, 0, 1] = 50.0
    fractions = torch.zeros_like(logits)
    fractions[:, 1] = 1
    weight = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)

    assert tissue_cross_entropy(logits, fractions, weight).item() == pytest.approx(math.log(4))


def test_tissues_that_nobody_knows_teach_nothing(generator):
    logits = torch.randn((2, 4, 2, 2, 2), generator=generator, requires_grad=True)
    fractions = torch.zeros(2, 4, 2, 2, 2)
    fractions[0, 2] = 1

    tissue_cross_entropy(logits, fractions, torch.ones(2, 1, 2, 2, 2)).backward()

    assert logits.grad[0].any()
    assert not logits.grad[1].any()


def test_gradient_difference_by_hand():
    x, y = torch.zeros(1, 1, 3, 2, 2), torch.zeros(1, 1, 3, 2, 2)
    x[:, :, 2] = 6.0  # one of two steps along x is wrong by 6, none along y and z

    assert gradient_difference(x, y).item() == pytest.approx(3 / 3)


def test_gradient_difference_ignores_an_offset(generator):
    x = torch.randn((1, 2, 4, 4, 4), generator=generator)

    assert gradient_difference(x, x + 5).item() == pytest.approx(0, abs=1e-6)
