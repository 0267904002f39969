"""Pairs that are simulated while they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pds_bids.app.anatomies import template_anatomy
from pds_bids.app.bank import PairStream
from pds_bids.training.data import make_batch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stream() -> PairStream:
    return PairStream((template_anatomy(),), n_pairs=1000, seed=3)


def test_a_row_is_the_same_pair_whenever_it_is_asked_for(stream: PairStream) -> None:
    first, both = stream.get([7]), stream.get([8, 7])
    for alone, together in zip(first, both, strict=True):
        np.testing.assert_array_equal(alone[0], together[1])
        assert (together[0] != together[1]).any()


def test_batches_are_made_of_it_as_of_a_bank(stream: PairStream) -> None:
    batch = make_batch(stream.get([0]), [1], torch.Generator().manual_seed(0))
    assert len(stream) == 1000
    assert batch.images.isfinite().all()
    assert 0.1 < float(batch.mask.mean()) < 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_device_makes_pairs_of_the_same_kind() -> None:
    stream = PairStream((template_anatomy(),), n_pairs=10, seed=0, device="cuda")
    assert 0.1 < stream.get([0]).masks.mean() < 0.5
