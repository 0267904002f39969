from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from pds_bids.evaluation.significance import holm, signed_rank


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_holm_by_hand():
    """Sorted 0.005, 0.010, 0.030, 0.040 times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04, which may not fall."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.4, 0.6])), [1, 1, 1])
    assert holm(np.array([0.03])) == 0.03


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_that_of_bonferroni(p):
    p_M = np.array(p)
    corrected = holm(p_M)

    assert (p_M <= corrected).all()
    assert (corrected <= np.minimum(len(p) * p_M, 1)).all()
    assert (np.diff(corrected[np.argsort(p_M)]) >= 0).all()


def test_the_chance_of_any_false_alarm_is_kept(random):
    """Four comparisons without an effect, 400 times: uncorrected, one in five families raises an alarm."""
    families = [signed_rank(list(random.standard_normal((4, 30)))) for _ in range(400)]
    single = np.mean([min(test.p for test in family) <= 0.05 for family in families])
    corrected = np.mean([min(test.p_holm for test in family) <= 0.05 for family in families])

    assert single > 0.12
    assert corrected < 0.08


def test_each_test_is_that_of_scipy_and_its_statistic_the_smaller_rank_sum(random):
    differences = [random.normal(gain, 1, 24) for gain in (0.0, 0.4, 1.0)]

    tests = signed_rank(differences)

    for values, test in zip(differences, tests, strict=True):
        ranks = rankdata(np.abs(values))
        assert test.statistic == min(ranks[values > 0].sum(), ranks[values < 0].sum())
        assert test.p == wilcoxon(values).pvalue
    np.testing.assert_array_equal([t.p_holm for t in tests], holm(np.array([t.p for t in tests])))


def test_always_better_is_significant_and_no_difference_is_not():
    (better, same, nobody) = signed_rank([np.linspace(0.1, 0.5, 10), np.zeros(10), np.full(10, np.nan)])

    assert (better.statistic, better.p) == (0, pytest.approx(2 / 2**10))  # of all signs, two are as extreme
    assert better.p_holm == pytest.approx(3 * better.p)
    assert same == nobody == (0, 1, 1)


def test_a_subject_without_a_value_is_left_out(random):
    values = random.normal(0.5, 1, 20)

    assert signed_rank([np.append(values, np.nan)]) == signed_rank([values])
