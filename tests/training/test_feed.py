from __future__ import annotations

import threading

import pytest
import torch

from pds_bids.training.feed import AHEAD, EagerFeed, Feed
from pds_bids.training.statistics import first_pairs


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


def test_batches_made_beforehand_are_the_same(small):
    eager, feed = (kind(small.SmallPairs(), 1, "denoiser") for kind in (EagerFeed, Feed))
    first_pairs(eager)  # has batches of its own, which must not be taken for those of the stage
    asked = [(step, 7, range(7)) for step in range(3)]
    asked += [(0, 4, range(4)), *[(step, 4, rows) for step in (1, 2) for rows in (range(2), range(2, 4))]]
    asked += [(step, 3, range(3)) for step in (3, 4, 7)]

    for case in asked:
        (ready, its), (plain, others) = eager.batch(*case), feed.batch(*case)
        assert all(torch.equal(a, b) for a, b in zip(ready, plain, strict=True))
        assert [torch.rand(2, generator=g).tolist() for g in its] == [
            torch.rand(2, generator=g).tolist() for g in others
        ]


def test_the_next_batches_are_made_while_the_network_learns(small):
    made = threading.Semaphore(0)

    class Watched(small.SmallPairs):
        def get(self, rows):
            made.release()
            return super().get(rows)

    EagerFeed(Watched(), 1, "denoiser").batch(0, 2, range(2))

    assert all(made.acquire(timeout=30) for _ in range(1 + AHEAD))


def test_a_feed_that_is_closed_makes_nothing_more(small):
    gate, made = threading.Event(), []

    class Slow(small.SmallPairs):
        def get(self, rows):
            made.append(rows)
            assert gate.wait(timeout=30)
            return super().get(rows)

    feed = EagerFeed(Slow(), 1, "denoiser")
    at_it = [feed._threads.submit(feed.pairs.get, [0]) for _ in range(feed._threads._max_workers)]
    queued = feed._threads.submit(feed.pairs.get, [1])
    feed.close()
    gate.set()

    assert queued.cancelled()
    assert len(made) == len([job.result() for job in at_it])
