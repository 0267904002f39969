from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.models.refine import TISSUES
from pds_bids.training.data import PairBank, make_batch
from pds_bids.training.finish import (
    LEVELS,
    calibrate,
    fit_outlier_score,
    predict,
    set_templates,
    tissue_factors,
)

pytestmark = pytest.mark.slow


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

    estimate, refined, sd = predict(model, batch)

    expected = model.subbands.merge(torch.zeros(1, 2, 8, *(n // 2 for n in batch.images.shape[2:])))
    assert torch.equal(estimate, refined)
    torch.testing.assert_close(estimate, expected[:, :1])
    assert sd.shape == estimate.shape
    torch.testing.assert_close(sd, torch.full_like(sd, math.exp(-2)))


def test_calibrated_intervals_hold_what_they_promise(model, samples, tmp_path):
    noise = np.random.default_rng(0).normal(1, 0.2, samples[0].images.shape)
    pairs = PairBank.create(tmp_path, 1)
    pairs.put(0, samples[0]._replace(images=noise.astype(np.float16)), 0)  # the model predicts 1 everywhere

    factors = calibrate(model, pairs)

    for target, modality in enumerate(Modality):
        batch = make_batch(pairs.get([0]), [target], None)
        _, refined, sd = predict(model, batch)
        error = (refined - batch.images[:, target : target + 1]).abs()
        for level in LEVELS:
            within = error <= NormalDist().inv_cdf((1 + level) / 2) * sd
            assert within[batch.mask > 0].float().mean().item() == pytest.approx(level, abs=0.02)
        assert list(factors[modality.value]) == list(TISSUES)
        stored = model.scale_factor[target].tolist()
        assert list(factors[modality.value].values()) == pytest.approx(stored, abs=1e-4)


def normal_errors(generator, sharpness: float, *, known: bool):
    """Errors over scale of voxels of four tissues whose sd is 1, 2, 3 and 4, seen more or less sharply."""
    truth = torch.randint(4, (40_000,), generator=generator)
    seen = (sharpness * F.one_hot(truth, 4).T + torch.rand((4, 40_000), generator=generator)).softmax(0)
    ratio = (truth + 1) * torch.randn(40_000, generator=generator).abs()
    return ratio, seen, (F.one_hot(truth, 4).T.float() if known else seen), truth


@pytest.mark.parametrize("known", [True, False])
def test_each_tissue_is_given_its_own_factor(generator, known):
    ratio, seen, weight, _ = normal_errors(generator, 20.0, known=known)

    torch.testing.assert_close(
        tissue_factors(ratio, seen, weight), torch.tensor([1.0, 2.0, 3.0, 4.0]), rtol=0.04, atol=0
    )


def test_intervals_hold_in_each_tissue_where_tissues_are_seen_dimly(generator):
    ratio, seen, weight, truth = normal_errors(generator, 3.0, known=True)

    width = NormalDist().inv_cdf(0.95) * (tissue_factors(ratio, seen, weight) @ seen)

    for tissue in range(4):
        assert 0.85 <= (ratio <= width)[truth == tissue].float().mean() <= 0.95


def test_a_tissue_that_is_never_there_is_given_the_factor_of_all(generator):
    ratio = 2 * torch.randn(20_000, generator=generator).abs()
    seen = torch.tensor([0.5, 0.5, 0.0, 0.0])[:, None].expand(4, 20_000)

    torch.testing.assert_close(tissue_factors(ratio, seen, seen), torch.full((4,), 2.0), rtol=0.03, atol=0)


def test_training_scans_are_usual_and_others_are_not(model, bank):
    limits = fit_outlier_score(model, bank, bank)

    sample = bank.get([0])
    for source, modality in enumerate(Modality):
        usual, strange = (
            make_batch(sample._replace(images=images), [1 - source], None)
            for images in (sample.images, np.random.default_rng(0).permutation(sample.images, axis=3))
        )
        scores = [
            model.outlier(model.features(model.subbands.split(b.images), b.mask, 1 - b.target), 1 - b.target)
            for b in (usual, strange)
        ]
        assert limits[modality.value] == pytest.approx(model.outlier.limit[source].item(), abs=1e-4)
        assert scores[0] < 1.5 * limits[modality.value] < scores[1]
