"""Estimates from tables, and from banks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.training.data import GROUPS, Covariate, PairBank
from pds_bids.training.pattern import (
    D_LIMIT,
    RHO_LIMIT,
    cohens_d,
    estimate_pattern,
    nuisance,
    partial_correlation,
    roi_means,
    roi_table,
)

pytestmark = pytest.mark.slow


def test_planted_effects_are_found():
    random, planted = np.random.default_rng(0), np.array([-1.0, -0.4, 0.0, 0.8])
    controls = 5 + 2 * random.standard_normal((4000, 4))
    patients = 5 + 2 * (random.standard_normal((3000, 4)) + planted)

    np.testing.assert_allclose(cohens_d(patients, controls), planted, atol=0.07)


def test_effects_are_those_of_the_textbook_shrunk():
    patients, controls = np.array([[3.0], [5], [7]] * 5), np.array([[1.0], [2], [3], [4], [5]] * 2)
    pooled = ((5 * 8 + 2 * 10) / (15 + 10 - 2)) ** 0.5
    harmonic = 2 * 15 * 10 / 25

    assert cohens_d(patients, controls, 0)[0] == pytest.approx(2 / pooled)
    assert cohens_d(patients, controls, 8)[0] == pytest.approx(2 / pooled * harmonic / (harmonic + 8))


@given(st.integers(10, 40), st.integers(10, 40), st.floats(0.1, 100))
def test_shrinking_never_grows_and_keeps_the_sign(n1, n2, prior_n):
    random = np.random.default_rng(n1 * 100 + n2)
    patients, controls = random.standard_normal((n1, 6)), random.standard_normal((n2, 6))

    shrunk, plain = cohens_d(patients, controls, prior_n), cohens_d(patients, controls, 0)

    assert (np.abs(shrunk) < np.abs(plain)).all()
    assert (shrunk * plain > 0).all()


def test_without_ten_of_each_group_or_any_spread_there_is_no_effect():
    some = np.arange(20.0).reshape(10, 2)
    gap = some.copy()
    gap[1:, 0] = np.nan

    assert not cohens_d(some, some[:9] + 1).any()
    assert not cohens_d(some[:0], some).any()
    assert not cohens_d(np.ones((10, 2)), 2 * np.ones((10, 2))).any()
    assert (cohens_d(gap, some + 1) == 0).tolist() == [True, False]


def test_what_age_and_site_explain_is_no_correlation():
    random, n = np.random.default_rng(1), 3000
    people = np.stack(
        [np.full(n, np.nan), random.uniform(60, 90, n), random.integers(0, 2, n), random.integers(0, 3, n)],
        axis=1,
    )
    shared = people[:, Covariate.AGE] / 8 + 3 * (people[:, Covariate.SITE] == 2)
    common = random.standard_normal((n, 1))
    planted = np.array([0.0, 0.3, 0.7])
    x, y = (
        np.sqrt(planted) * common + np.sqrt(1 - planted) * random.standard_normal((n, 3)) + shared[:, None]
        for _ in range(2)
    )

    plain = partial_correlation(x, y, np.empty((n, 0)))
    given = partial_correlation(x, y, nuisance(people))

    assert plain.min() > 0.5
    np.testing.assert_allclose(given, planted, atol=0.05)


def test_who_is_unknown_is_left_out_and_what_nobody_knows_is_not_asked():
    people = np.array([[0, 70, 1, 0], [0, 80, 0, 0], [np.nan, np.nan, np.nan, 0]])

    assert nuisance(people).shape == (3, 2)
    assert np.isnan(nuisance(people)[2]).all()
    assert nuisance(np.full((3, 4), np.nan)).shape == (3, 0)


@settings(deadline=None)
@given(st.integers(0, 12))
def test_a_correlation_is_never_above_one_and_needs_people(n):
    random = np.random.default_rng(n)
    x = random.standard_normal((n, 3))

    rho = partial_correlation(x, x, random.standard_normal((n, 2)))

    assert (np.abs(rho) <= 1).all()
    assert (rho > 0).all() == (n > 5)  # a mean, two slopes, and two for the variance of Fisher's z


def test_roi_means_are_over_the_mask():
    image, inside = np.arange(8.0).reshape(2, 2, 2), np.ones((2, 2, 2), bool)
    labels = np.array([[[1, 1], [2, 2]], [[0, 0], [3, 3]]])
    inside[0, 0, 1] = inside[1, 1] = False

    np.testing.assert_array_equal(roi_means(image, inside, labels, 3), [0, 2.5, np.nan])


ATLAS = RoiAtlas(
    ("centre", "rim", "air"),
    np.array([[0.0, -17, 5], [40, -17, 5], [75, 70, 80]]),
    np.full(3, 6.0),
    (RoiGroup.OTHER,) * 3,
)


@pytest.fixture
def people(samples, tmp_path) -> PairBank:
    """Three pairs, eight times over; in patients the centre is darker in BOLD and the rim brighter in DWI."""
    random = np.random.default_rng(2)
    bank, labels = PairBank.create(tmp_path, 24), ATLAS.labels(MODEL_GRID)
    for row in range(len(bank)):
        sample = samples[row % 3]
        group = row % 2 * 2
        images = sample.images.astype(float)
        severity = group * random.uniform(0.1, 0.2)
        images[1, 0] *= np.where(labels == 1, 1 - severity + 0.05 * random.standard_normal(), 1)
        images[1, 1] *= np.where(labels == 2, 1 + severity + 0.05 * random.standard_normal(), 1)
        covariates = np.array([group, 60 + row, row % 3 == 0, 0], np.float32)
        bank.put(row, sample._replace(images=images.astype(np.float16), covariates=covariates), row)
    return bank


def test_a_bank_remembers_who_its_pairs_are_of(people, bank):
    assert people.get([3, 4]).covariates.tolist() == [[2, 63, 1, 0], [0, 64, 0, 0]]
    assert np.isnan(bank.get([0]).covariates).all()


def test_the_pattern_of_a_bank(people):
    values = estimate_pattern(people, ATLAS, 100)

    assert (values.n_pairs, values.n_controls, values.n_patients) == (24, 12, 12)
    bold, dwi = values.d_MR
    assert bold[0] == -D_LIMIT
    assert dwi[1] == D_LIMIT
    assert abs(bold[1]) < 0.7
    assert abs(dwi[0]) < 0.7
    assert values.rho_R.shape == (3,)
    assert np.abs(values.rho_R).max() <= RHO_LIMIT
    assert values.d_MR[:, 2].tolist() == [0, 0]  # never in a mask


def test_pairs_without_diagnosis_have_no_effects(bank):
    values = estimate_pattern(bank, ATLAS, 100)

    assert not values.d_MR.any()
    assert (values.n_pairs, values.n_controls, values.n_patients) == (3, 0, 0)


def test_a_long_bank_is_sampled_from_end_to_end(people):
    means, covariates = roi_table(people, ATLAS, 3)

    assert means.shape == (3, 2, 3)
    assert covariates[:, Covariate.AGE].tolist() == [60, 72, 83]


def test_the_table_is_in_relative_units(people):
    means, covariates = roi_table(people, ATLAS, 24)

    healthy = means[covariates[:, Covariate.GROUP] == GROUPS.index("nc"), 0, 0]
    assert healthy.mean() == pytest.approx(1.3, abs=0.15)  # fluid in medians of the brain
