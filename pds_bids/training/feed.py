"""Which pairs a step sees, and what is random about each: functions of seed, stage, step and row.

So a resumed training goes on as if it had never stopped, and any number of processes shares the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.training.data import Batch, Pairs, make_batch


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

    def batch(self, step: int, size: int, rows: range) -> tuple[Batch, list[torch.Generator]]:
        """Rows of the batch of a step, and the generator of each row for whatever else is drawn.

        Parameters
        ----------
        size
            Of the whole batch; `rows` are those wanted of it.
        """
        generators = [self.generator(step, row) for row in rows]
        stored = self.pairs.get([self.pair(step * size + row) for row in rows])
        targets = [int(torch.randint(len(Modality), (), generator=generator)) for generator in generators]
        return make_batch(stored, targets, generators).to(self.device), generators


@lru_cache(maxsize=4)
def _order(n: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    return order
