from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pds_bids.evaluation.detection import auroc, auroc_interval

scores = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12).map(np.array)


@given(scores, scores)
def test_it_is_the_area_that_scikit_learn_finds(usual, unusual):
    labels = np.repeat([0, 1], [usual.size, unusual.size])
    assert auroc(usual, unusual) == pytest.approx(roc_auc_score(labels, np.concatenate([usual, unusual])))


@given(scores, scores)
def test_it_follows_the_order_alone(usual, unusual):
    assert auroc(np.exp(usual), np.exp(unusual)) == auroc(usual, unusual)
    assert auroc(usual, unusual) + auroc(unusual, usual) == pytest.approx(1)


def test_those_without_a_score_do_not_count():
    nan = np.nan
    assert auroc(np.array([1.0, nan, 3.0]), np.array([nan, 2.0])) == 0.5
    assert np.isnan(auroc(np.array([nan]), np.array([1.0])))


def test_an_interval_holds_the_value_and_is_narrow_where_all_agree():
    random = np.random.default_rng(0)
    anatomy = np.repeat(np.arange(3), 8)
    usual = random.normal(size=24)
    told = auroc_interval(usual, usual + 10, anatomy, seed=0)
    by_chance = auroc_interval(usual, random.normal(size=24), anatomy, seed=0)
    assert told == (1, 1, 1)
    assert by_chance.low < 0.5 < by_chance.high
    assert by_chance.low < by_chance.mean < by_chance.high


def test_where_nobody_was_challenged_there_is_no_interval():
    assert auroc_interval(np.ones(4), np.full(4, np.nan), np.arange(4), seed=0) is None


def test_samples_that_miss_all_who_were_challenged_are_left_out():
    unusual = np.array([2.0, np.nan, np.nan, np.nan])
    assert auroc_interval(np.ones(4), unusual, np.arange(4), seed=0) == (1, 1, 1)
