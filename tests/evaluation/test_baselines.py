from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.evaluation.baselines import FitPair, PersonalTemplate, QuantileMap, VoxelwiseLine

SHAPE = (6, 7, 8)
EVERYWHERE = np.ones(SHAPE, bool)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def pairs_on(line: VoxelwiseLine, n: int, random: np.random.Generator) -> Iterator[FitPair]:
    """Pairs without noise, on the lines given."""
    for _ in range(n):
        source = random.uniform(0, 2, SHAPE)
        yield FitPair(source, line(source), EVERYWHERE)


@pytest.fixture
def truth(random: np.random.Generator) -> VoxelwiseLine:
    return VoxelwiseLine(random.uniform(0, 1, SHAPE), random.uniform(-1, 1, SHAPE))


def test_without_a_prior_every_voxel_has_its_own_line(truth, random):
    found = VoxelwiseLine.fit(pairs_on(truth, 3, random), prior=0)

    np.testing.assert_allclose(found.slope, truth.slope, atol=1e-9)
    np.testing.assert_allclose(found.intercept, truth.intercept, atol=1e-9)


def test_with_many_pairs_the_prior_no_longer_matters(truth, random):
    found = VoxelwiseLine.fit(pairs_on(truth, 400, random))

    assert np.abs(found.slope - truth.slope).max() < 0.05
    assert np.abs(found.intercept - truth.intercept).max() < 0.05


def test_a_strong_prior_gives_the_global_line(truth, random):
    pairs = list(pairs_on(truth, 5, random))
    x, y = (np.concatenate([getattr(p, name).ravel() for p in pairs]) for name in ("source", "target"))
    slope, intercept = np.polyfit(x, y, 1)

    found = VoxelwiseLine.fit(pairs, prior=1e9)

    np.testing.assert_allclose(found.slope, slope, atol=1e-6)
    np.testing.assert_allclose(found.intercept, intercept, atol=1e-6)


def test_the_ridge_by_least_squares_with_rows_added(truth, random):
    """Ridge is ordinary least squares with a pseudo-observation per penalised coefficient."""
    pairs, prior, voxel = list(pairs_on(truth, 6, random)), 2.0, (1, 2, 3)
    x, y = (np.array([getattr(p, name) for p in pairs]) for name in ("source", "target"))
    slope, intercept = np.polyfit(x.ravel(), y.ravel(), 1)
    u = x[:, *voxel] - x.mean()
    rows = np.vstack([np.column_stack([np.ones(6), u]), np.diag([prior**0.5, (prior * x.var()) ** 0.5])])
    residuals = np.append(y[:, *voxel] - slope * x[:, *voxel] - intercept, [0, 0])
    a, b = np.linalg.lstsq(rows, residuals)[0]

    found = VoxelwiseLine.fit(pairs, prior)

    assert found.slope[voxel] == pytest.approx(slope + b)
    assert found(np.full(SHAPE, x.mean()))[voxel] == pytest.approx(slope * x.mean() + intercept + a)


def test_a_voxel_outside_every_mask_has_the_global_line(random):
    line = VoxelwiseLine(np.full(SHAPE, 0.3), np.full(SHAPE, 0.5))
    mask = EVERYWHERE.copy()
    mask[0] = False
    pairs = [p._replace(target=np.where(mask, p.target, 9.0), mask=mask) for p in pairs_on(line, 4, random)]

    found = VoxelwiseLine.fit(pairs)

    np.testing.assert_allclose(found.slope, 0.5)
    np.testing.assert_allclose(found.intercept, 0.3)


def test_the_quantile_map_finds_an_increasing_function(random):
    def pair() -> FitPair:
        source = random.uniform(0, 2, (20, 20, 20))
        return FitPair(source, source**2 / 2, np.ones(source.shape, bool))

    found = QuantileMap.fit(pair() for _ in range(3))

    x = np.linspace(0.1, 1.9, 50)
    np.testing.assert_allclose(found(x), x**2 / 2, atol=0.02)


def test_matched_training_sources_have_the_histogram_of_their_targets(random):
    source, target = random.normal(1, 0.2, (20, 20, 20)), random.gamma(9, 0.1, (20, 20, 20))
    everywhere = np.ones(source.shape, bool)

    matched = QuantileMap.fit([FitPair(source, target, everywhere)])(source)

    levels = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(matched, levels), np.quantile(target, levels), atol=0.01)


@given(st.lists(st.floats(-3, 5), min_size=2), st.integers(0, 9))
def test_the_quantile_map_never_decreases(values, seed):
    random = np.random.default_rng(seed)
    pair = FitPair(random.uniform(0, 2, SHAPE).clip(max=1), random.uniform(0, 2, SHAPE), EVERYWHERE)

    matched = QuantileMap.fit([pair])(np.sort(values))

    assert (np.diff(matched) >= 0).all()
    assert (matched >= pair.target.min()).all()
    assert (matched <= pair.target.max()).all()


@pytest.mark.parametrize("baseline", [QuantileMap, VoxelwiseLine])
def test_only_the_mask_is_fitted(baseline, truth, random):
    mask = random.random(SHAPE) < 0.7
    pairs = [p._replace(mask=mask) for p in pairs_on(truth, 4, random)]
    elsewhere = [FitPair(*(np.where(mask, image, 50.0) for image in p[:2]), mask) for p in pairs]

    source = random.uniform(0, 2, SHAPE)
    np.testing.assert_array_equal(baseline.fit(pairs)(source), baseline.fit(elsewhere)(source))


@pytest.mark.parametrize("baseline", [QuantileMap, VoxelwiseLine])
def test_no_pairs_are_refused(baseline):
    with pytest.raises(ValueError, match="no "):
        baseline.fit([])


def test_equal_sources_have_no_line():
    flat = np.ones(SHAPE)
    with pytest.raises(ValueError, match="no line"):
        VoxelwiseLine.fit([FitPair(flat, flat, EVERYWHERE)])


def people(n: int, random: np.random.Generator) -> tuple[list[FitPair], np.ndarray, np.ndarray]:
    """Brightness of every voxel is a parabola of age, and sex adds to it."""
    age, sex = random.uniform(50, 90, n), random.integers(0, 2, n).astype(float)
    slope = random.normal(size=SHAPE)
    targets = [
        1 + 0.01 * slope * (a - 70) + 0.0005 * (a - 70) ** 2 + 0.1 * s for a, s in zip(age, sex, strict=True)
    ]
    return [FitPair(t, t, EVERYWHERE) for t in targets], age, sex


def test_a_personal_template_follows_age_its_square_and_sex(random):
    pairs, age, sex = people(30, random)

    found = PersonalTemplate.fit(pairs, age, sex, prior=1e-9)

    for pair, *who in zip(pairs, age, sex, strict=True):
        np.testing.assert_allclose(found(*who), pair.target, atol=1e-6)


def test_with_a_strong_prior_it_is_the_plain_template_and_outside_the_masks_nothing(random):
    pairs, age, sex = people(8, random)
    mask = random.uniform(size=SHAPE) < 0.5

    found = PersonalTemplate.fit([p._replace(mask=mask) for p in pairs], age, sex, prior=1e9)

    plain = np.mean([p.target for p in pairs], axis=0)
    np.testing.assert_allclose(found(60, 1), np.where(mask, plain, 0), atol=1e-6)


def test_what_is_the_same_for_everybody_explains_nothing(random):
    pairs, age, _ = people(8, random)

    found = PersonalTemplate.fit(pairs, age, np.ones(8))

    assert np.isfinite(found(70, 1)).all()
