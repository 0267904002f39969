"""The score of unusual sources, on features whose distribution is known and on small networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from pds_bids.models.outlier import OutlierScore, shrunk_covariance, view_sizes

SIZES = (6, 4, 2)


@pytest.fixture
def correlated(generator):
    """(n, 12) features with a covariance of their own, far from the origin."""
    mixing = torch.randn(12, 12, generator=generator)
    return lambda n: 5 + torch.randn(n, 12, generator=generator) @ mixing


@pytest.fixture
def fitted(correlated):
    score = OutlierScore(SIZES)
    for source in range(2):
        score.fit(source, correlated(400), correlated(200))
    return score


@pytest.mark.parametrize(("n", "f"), [(300, 5), (20, 40)])
def test_the_covariance_is_that_of_ledoit_and_wolf(generator, n, f):
    rows = torch.randn(n, f, generator=generator, dtype=torch.float64) @ torch.randn(f, f).double()
    centred = rows - rows.mean(0)

    expected, _ = ledoit_wolf(centred.numpy(), assume_centered=True)

    np.testing.assert_allclose(shrunk_covariance(centred).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_few_scans_of_the_same_kind_exceed_the_limit(fitted, correlated):
    which = torch.zeros(4000, dtype=torch.long)

    exceeding = (fitted(correlated(4000), which) > fitted.limit[0]).float().mean()

    assert 0.01 < exceeding < 0.12


@pytest.mark.parametrize("feature", [0, 7, 11])
def test_one_view_that_is_off_is_enough(fitted, correlated, feature):
    scans, which = correlated(100), torch.ones(100, dtype=torch.long)
    scans[:, feature] += 60

    assert (fitted(scans, which) > fitted.limit[1]).all()


def test_modalities_have_limits_of_their_own(fitted, correlated):
    scans = correlated(5)
    fitted.centre[1] += 100

    low, high = (fitted(scans, torch.full((5,), source)) for source in range(2))

    assert (high > 5 * low).all()


def test_a_feature_that_never_varied_is_no_reason_to_fail(correlated):
    training, calibration = correlated(50), correlated(20)
    training[:, 3] = calibration[:, 3] = 0.25
    score = OutlierScore(SIZES)

    score.fit(0, training, calibration)

    assert score.state_dict()["whitening"].isfinite().all()


def test_a_single_training_scan_is_no_reason_to_fail(correlated):
    score = OutlierScore(SIZES)

    score.fit(0, correlated(1), correlated(3))

    assert all(t.isfinite().all() for t in score.state_dict().values())


def test_unfitted_nothing_exceeds_the_limit(correlated):
    score = OutlierScore(SIZES)
    which = torch.zeros(3, dtype=torch.long)

    assert not (score(correlated(3), which) > score.limit[which]).any()


class TestFeatures:
    @pytest.fixture
    def scan(self, model, awake, generator):
        awake(model)
        mask = torch.zeros(2, 1, 16, 16, 16)
        mask[:, :, 3:14, 2:13, 4:15] = 1
        bands = model.subbands.split(torch.rand(2, 2, 16, 16, 16, generator=generator) * mask - 1)
        return bands, mask, torch.tensor([0, 1])

    @torch.inference_mode()
    def test_they_are_as_many_as_promised_and_always_the_same(self, model, scan):
        first = model.features(*scan)
        torch.manual_seed(99)

        assert first.shape == (2, sum(view_sizes(model.config.refiner)))
        assert torch.equal(model.features(*scan), first)

    @torch.inference_mode()
    def test_the_target_is_not_looked_at(self, model, scan):
        bands, mask, source = scan
        changed = bands.clone()
        changed[[0, 1], 1 - source] = 7.0

        assert torch.equal(model.features(changed, mask, source), model.features(bands, mask, source))

    @torch.inference_mode()
    def test_every_view_sees_another_source(self, model, scan):
        bands, mask, source = scan

        change = (model.features(2 * bands, mask, source) - model.features(bands, mask, source)).abs()

        assert all((view.amax(1) > 1e-3).all() for view in change.split(view_sizes(model.config.refiner), 1))

    @torch.inference_mode()
    def test_rows_do_not_mix(self, model, scan):
        together = model.features(*scan)
        alone = torch.cat([model.features(*(part[[row]] for part in scan)) for row in range(2)])

        torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_two_scans_are_enough_for_a_score(correlated):
    score = OutlierScore(SIZES)
    score.fit(0, correlated(2), correlated(1))
    assert torch.isfinite(score(correlated(5), torch.zeros(5, dtype=torch.long))).all()
