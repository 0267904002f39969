from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from pds_bids.evaluation.uncertainty import ensemble_crps, normal_crps, sparsification, spread_skill

SHAPE = (30, 30, 30)
EVERYWHERE = np.ones(SHAPE, bool)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def sd(random) -> np.ndarray:
    return random.uniform(0.1, 1.0, SHAPE)


@pytest.fixture
def error(sd, random) -> np.ndarray:
    """What the sd promises."""
    return random.normal(scale=sd)


def one(value: float) -> np.ndarray:
    return np.full((1, 1, 1), value)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.05, 2))
def test_the_crps_of_a_normal_is_its_integral(error, sd):
    predicted = NormalDist(error, sd)  # the truth is 0
    below, _ = quad(lambda x: predicted.cdf(x) ** 2, -np.inf, 0)
    above, _ = quad(lambda x: (1 - predicted.cdf(x)) ** 2, 0, np.inf)

    assert normal_crps(one(error), one(sd), one(1) > 0) == pytest.approx(below + above, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("error", [-0.3, 0.0, 0.3])
def test_without_an_uncertainty_the_crps_is_the_absolute_error(error):
    assert normal_crps(one(error), one(0), one(1) > 0) == abs(error)


def test_the_crps_is_least_for_the_true_sd(error, sd):
    honest, bold, shy = (normal_crps(error, factor * sd, EVERYWHERE) for factor in (1, 0.5, 2))

    assert honest == pytest.approx(sd.mean() / np.sqrt(np.pi), rel=0.02)
    assert honest < min(bold, shy)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_crps_of_an_ensemble_by_brute_force(n, random):
    truth, *draws = random.standard_normal((n + 1, 4, 3, 2))
    mask = truth < 0.5
    to_truth = np.mean([np.abs(x - truth)[mask] for x in draws])
    to_each_other = np.mean([np.abs(a - b)[mask] for j, a in enumerate(draws) for b in draws[:j]])

    assert ensemble_crps(np.array(draws), truth, mask) == pytest.approx(to_truth - to_each_other / 2)


@pytest.mark.parametrize("n", [2, 8])
def test_the_crps_of_few_draws_is_that_of_their_distribution(n, random, sd):
    truth = random.normal(scale=sd)
    draws = random.normal(0.2, sd, (n, *SHAPE))

    expected = normal_crps(0.2 - truth, sd, EVERYWHERE)

    assert ensemble_crps(draws, truth, EVERYWHERE) == pytest.approx(expected, rel=0.03)


def test_one_draw_is_no_ensemble(sd):
    with pytest.raises(ValueError, match="two draws or more, not 1"):
        ensemble_crps(sd[None], sd, EVERYWHERE)


def test_a_perfect_order_has_no_ause(error):
    perfect = sparsification(error, np.exp(np.abs(error)), EVERYWHERE)

    assert perfect.ause == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(perfect.by_sd, perfect.by_error)


def test_the_curves_by_hand():
    error = np.array([4.0, -2.0, 1.0, -1.0]).reshape(4, 1, 1)
    sd = np.array([0.3, 0.4, 0.1, 0.2]).reshape(4, 1, 1)

    curves = sparsification(error, sd, error != 0, n_levels=4)

    assert curves.removed.tolist() == [0, 0.25, 0.5, 0.75]
    assert curves.by_sd.tolist() == [1, 1, 0.5, 0.5]  # 8/4, 6/3, 2/2, 1/1 over 2
    np.testing.assert_allclose(curves.by_error, [1, 2 / 3, 0.5, 0.5])
    assert curves.ause == pytest.approx(0.25 / 3)


def test_a_constant_sd_is_worth_a_shuffled_one(error, sd, random):
    shuffled = random.permutation(sd.ravel()).reshape(SHAPE)
    none, chance, honest = (sparsification(error, by, EVERYWHERE) for by in (0 * sd, shuffled, sd))

    np.testing.assert_allclose(none.by_sd, 1)
    np.testing.assert_allclose(chance.by_sd[:90], 1, atol=0.05)
    assert chance.ause == pytest.approx(none.ause, abs=0.01)
    assert 0.05 < honest.ause < 0.75 * chance.ause


def test_the_order_alone_counts(error, sd):
    other = sparsification(3 * error, sd**3, EVERYWHERE)

    assert other.ause == pytest.approx(sparsification(error, sd, EVERYWHERE).ause)


def test_voxels_without_any_error_are_in_perfect_order(sd):
    assert sparsification(0 * sd, sd, EVERYWHERE).ause == 0


def test_an_honest_sd_has_slope_and_ratio_one(error, sd):
    found = spread_skill(error, sd, EVERYWHERE)

    assert (found.slope, found.ratio) == (pytest.approx(1, abs=0.05), pytest.approx(1, abs=0.02))
    np.testing.assert_allclose(found.rmse, found.spread, rtol=0.1)
    assert (np.diff(found.spread) > 0).all()


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 0.5), (2.0, 2.0)])
def test_a_wrong_scale_shows_in_the_ratio(error, sd, factor, expected):
    found = spread_skill(error, factor * sd, EVERYWHERE)

    assert found.ratio == pytest.approx(expected, rel=0.02)
    assert found.slope == pytest.approx(1 / expected, rel=0.05)


def test_an_sd_in_the_wrong_places_has_no_slope(error, sd, random):
    found = spread_skill(error, random.permutation(sd.ravel()).reshape(SHAPE), EVERYWHERE)

    assert found.slope == pytest.approx(0, abs=0.1)
    assert found.ratio == pytest.approx(1, abs=0.02)
    assert np.isnan(spread_skill(error, 0 * sd + 0.5, EVERYWHERE).slope)


def test_the_spread_of_draws_is_honest_with_the_draw_that_the_truth_is(sd, random):
    n = 4
    draws, truth = random.normal(scale=sd, size=(n, *SHAPE)), random.normal(scale=sd)
    spread = draws.std(axis=0, ddof=1)

    found = spread_skill(draws.mean(axis=0) - truth, spread * np.sqrt(1 + 1 / n), EVERYWHERE)

    assert found.ratio == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("metric", [normal_crps, sparsification, spread_skill], ids=lambda f: f.__name__)
def test_only_the_mask_counts(metric, error, sd):
    mask = np.zeros(SHAPE, bool)
    mask[:10] = True

    def numbers(e: np.ndarray, s: np.ndarray) -> np.ndarray:
        found = metric(e, s, mask)
        return np.hstack(found if isinstance(found, tuple) else [found])

    elsewhere = numbers(np.where(mask, error, 9.0), np.where(mask, sd, 0.01))

    np.testing.assert_array_equal(elsewhere, numbers(error, sd))
