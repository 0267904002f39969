from __future__ import annotations

import pytest
import torch

from pds_bids.training.feed import Feed


@pytest.fixture
def feed(small) -> Feed:
    return Feed(small.SmallPairs(), seed=1, stage="denoiser")


def test_every_pair_comes_once_before_any_comes_again(feed):
    epochs = [[feed.pair(7 * epoch + place) for place in range(7)] for epoch in range(3)]

    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_both_directions_come_equally_often(feed):
    targets = torch.cat([feed.batch(step, 10, range(10))[0].target for step in range(20)])

    assert targets.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_batch_may_be_larger_than_the_bank(feed):
    assert len(feed.batch(0, 20, range(20))[0].images) == 20


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_rows_do_not_depend_on_who_asks_for_them(feed, cut):
    whole, generators = feed.batch(3, 4, range(4))
    parts = [feed.batch(3, 4, rows) for rows in (range(cut), range(cut, 4))]

    for tensor, *pieces in zip(whole, *(batch for batch, _ in parts), strict=True):
        assert torch.equal(tensor, torch.cat(pieces))
    later = [torch.rand(2, generator=g) for g in generators]
    assert torch.equal(
        torch.stack(later), torch.stack([torch.rand(2, generator=g) for _, gs in parts for g in gs])
    )


@pytest.mark.parametrize(
    ("step", "seed", "stage"), [(1, 1, "denoiser"), (0, 2, "denoiser"), (0, 1, "refiner")]
)
def test_step_seed_and_stage_decide(feed, small, step, seed, stage):
    other = Feed(small.SmallPairs(), seed, stage)

    first, again, else_ = (
        feed.batch(0, 6, range(6)),
        feed.batch(0, 6, range(6)),
        other.batch(step, 6, range(6)),
    )

    assert torch.equal(first[0].images, again[0].images)
    assert not torch.equal(first[0].images, else_[0].images)
