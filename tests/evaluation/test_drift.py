from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.evaluation.drift import along, between_people_sd, slope

PATTERN = np.random.default_rng(0).normal(size=40)


@given(st.floats(-3, 3), st.sets(st.integers(0, 39), max_size=20))
def test_so_much_of_the_pattern_is_found_as_was_added(share, unknown):
    deviations = share * PATTERN[None]
    deviations[0, list(unknown)] = np.nan
    assert along(deviations, PATTERN) == pytest.approx([share])


def test_what_is_orthogonal_to_the_pattern_is_no_drift():
    other = np.random.default_rng(1).normal(size=40)
    other -= other @ PATTERN / (PATTERN @ PATTERN) * PATTERN
    assert along(np.stack([other, other + PATTERN]), PATTERN) == pytest.approx([0, 1])


def test_of_rois_that_nobody_has_nothing_is_known():
    assert np.isnan(along(np.full((1, 40), np.nan), PATTERN)).all()


def test_a_slope_is_that_of_the_line_of_least_squares():
    x, y = np.random.default_rng(2).normal(size=(2, 5, 6))
    x[0, 0] = y[1, 1] = np.nan
    known = np.isfinite(x) & np.isfinite(y)
    assert slope(x, y) == pytest.approx(np.polyfit(x[known], y[known], 1)[0])


@pytest.mark.parametrize("x", [np.ones(4), np.full(4, np.nan)])
def test_without_variation_there_is_no_slope(x):
    assert np.isnan(slope(x, np.arange(4.0)))


def test_the_sd_is_within_groups_whatever_lies_between_them():
    values = np.random.default_rng(3).normal(size=(3000, 2)) * [1, 5]
    group = np.repeat(["a", "b", "c"], 1000)
    apart = values + np.repeat([0, 100, -30], 1000)[:, None]
    assert between_people_sd(apart, group) == pytest.approx(between_people_sd(values, group))
    assert between_people_sd(values, group) == pytest.approx([1, 5], rel=0.05)


def test_a_roi_of_which_too_little_is_known_has_no_sd():
    values = np.array([[1.0, 2.0, 4.0], [3.0, np.nan, 4.0], [9.0, 7.0, 4.0]])
    sd = between_people_sd(values, np.array(["a", "a", "b"]))
    assert sd[0] == pytest.approx(2**0.5)
    assert np.isnan(sd[1:]).all()
