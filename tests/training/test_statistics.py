from __future__ import annotations

import itertools

import pytest

from pds_bids.models.losses import band_weight
from pds_bids.training.data import make_batch
from pds_bids.training.feed import Feed
from pds_bids.training.statistics import Statistics, first_pairs


def test_standardised_bands_are_standard_in_the_brain(bank, model):
    batch = make_batch(bank.get([0, 1, 2]), [0, 1, 0], None)

    Statistics.of(batch).standardise(model)

    weight = (band_weight(batch.mask) > 0.5)[:, None]
    for bands in (model.subbands.split(batch.images), model.t1w_subbands.split(batch.t1w)):
        brain = weight.expand_as(bands)
        for m, k in itertools.product(range(bands.shape[1]), range(8)):
            inside = bands[:, m, k][brain[:, m, k]]
            assert inside.mean().item() == pytest.approx(0, abs=1e-3)
            if bands.shape[1] > 1 or k == 0:  # the T1w of the fixture has no noise
                assert inside.std().item() == pytest.approx(1, abs=1e-3)


def test_without_any_t1w_its_statistics_stay(bank, model):
    batch = make_batch(bank.get([0])._replace(t1w=0 * bank.get([0]).t1w), [0], None)
    before = model.t1w_subbands.sd.clone()

    Statistics.of(batch).standardise(model)

    assert (model.t1w_subbands.sd == before).all()


def test_the_first_pairs_are_all_where_there_are_few(small):
    assert len(first_pairs(Feed(small.SmallPairs(), 0, "denoiser")).images) == 7
