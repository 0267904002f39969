"""Which pairs a step sees, and what is random about each: functions of seed, stage, step and row.

So a resumed training goes on as if it had never stopped, and any number of processes shares the same batches.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.training.data import Batch, Pairs, make_batch

Rows = tuple[Batch, list[torch.Generator]]
"""Of a batch, and the generator of each for whatever else is drawn."""

AHEAD = 8
"""Steps whose batches are made beforehand for an accelerator."""


@dataclass(frozen=True)
class Feed:
    """Endless shuffled, augmented batches for one stage, both directions equally often.

    Attributes
    ----------
    seed
        Of the training.
    stage
        Its name: each has its own order and its own randomness.
    """

    pairs: Pairs
    seed: int
    stage: str
    device: torch.device | str = "cpu"

    def generator(self, step: int, *use: str | int) -> torch.Generator:
        """For one use in one step, on the CPU."""
        return torch.Generator().manual_seed(derived_seed(self.seed, self.stage, step, *use))

    def pair(self, place: int) -> int:
        """The pair at a place of the endless order, in which every pair comes once before any comes again."""
        epoch, position = divmod(place, len(self.pairs))
        return _order(len(self.pairs), derived_seed(self.seed, self.stage, "order", epoch))[position]

    def batch(self, step: int, size: int, rows: range) -> Rows:
        """Rows of the batch of a step, on the device.

        Parameters
        ----------
        size
            Of the whole batch; `rows` are those wanted of it.
        """
        batch, generators = self.made(step, size, rows)
        return batch.to(self.device), generators

    def made(self, step: int, size: int, rows: range) -> Rows:
        """See `batch`; in full precision, whatever the networks run in."""
        with torch.autocast(torch.device(self.device).type, enabled=False):
            generators = [self.generator(step, row) for row in rows]
            stored = self.pairs.get([self.pair(step * size + row) for row in rows])
            targets = [int(torch.randint(len(Modality), (), generator=generator)) for generator in generators]
            return make_batch(stored, targets, generators), generators

    def close(self) -> None:
        """No more batches will be wanted."""


def _thread_per_cpu() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(AHEAD, len(os.sched_getaffinity(0))))


@dataclass(frozen=True)
class EagerFeed(Feed):
    """The same batches, made by threads while the network learns: a GPU is faster than one of them."""

    _threads: ThreadPoolExecutor = field(init=False, compare=False, default_factory=_thread_per_cpu)
    _coming: dict[tuple[int, int, range], Future[Rows]] = field(
        init=False, compare=False, default_factory=dict
    )

    def made(self, step: int, size: int, rows: range) -> Rows:
        """From the threads, where it was foreseen that they would be wanted."""
        ready = self._coming.pop((step, size, rows), None)
        for stale in [key for key in self._coming if key[0] < step or key[1] != size]:
            self._coming.pop(stale).cancel()
        for later in range(step + 1, step + 1 + AHEAD):
            if (later, size, rows) not in self._coming:
                self._coming[later, size, rows] = self._threads.submit(super().made, later, size, rows)
        return ready.result() if ready else super().made(step, size, rows)

    def close(self) -> None:
        """Have the threads end with what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4)
def _order(n: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    return order
