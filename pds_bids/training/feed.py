"""Which pairs a step sees, and what is random about each: functions of seed, stage, step and row.

So a resumed training goes on as if it had never stopped, and any number of processes shares the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.models.denoiser import BANDS
from pds_bids.models.losses import band_weight
from pds_bids.models.wavelet import haar
from pds_bids.training.data import Batch, Pairs, Sample, halved, make_batch

N_STATISTICS = 24
"""Pairs that the mean and sd of the sub-bands are taken from."""


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
        batches = []
        for k, generator in enumerate(generators):
            target = int(torch.randint(len(Modality), (), generator=generator))
            batches.append(make_batch(Sample._make(a[k : k + 1] for a in stored), [target], generator))
        return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True))).to(self.device), generators


@lru_cache(maxsize=4)
def _order(n: int, seed: int) -> list[int]:
    order: list[int] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


def subband_statistics(samples: list[Batch]) -> tuple[Tensor, Tensor]:
    """(M, 8) mean and sd of every sub-band over the brain voxels of a few batches."""
    bands = torch.cat([haar(b.images).unflatten(1, (-1, BANDS)) for b in samples])
    weight = torch.cat([(band_weight(b.mask) > 0.5).float() for b in samples])[:, :, None].expand_as(bands)
    dims = (0, 3, 4, 5)
    mean = (bands * weight).sum(dims) / weight.sum(dims)
    centred = (bands - mean[None, :, :, None, None, None]) * weight
    return mean, (centred.square().sum(dims) / weight.sum(dims)).sqrt().clamp(min=1e-4)


def fine_and_coarse_statistics(feed: Feed) -> list[tuple[Tensor, Tensor]]:
    """`subband_statistics` of the first pairs of a feed, as they are and at 4 mm."""
    n = min(N_STATISTICS, len(feed.pairs))
    few = [feed.batch(step, 1, range(1))[0] for step in range(n)]
    return [subband_statistics(few), subband_statistics([halved(batch) for batch in few])]
