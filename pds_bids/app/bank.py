"""Simulated pairs: banks made in parallel beforehand, or a stream made on the training device as it goes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from torch import Tensor

    from pds_bids.simulation.disease import Person
    from pds_bids.simulation.pairs import Pair
    from pds_bids.training.data import PairBank, Sample


def simulated_samples(
    structures: NDArray[np.uint8], seed: int, n: int = 1, *, people: bool = False, device: str = "cpu"
) -> list[Sample]:
    """Random pairs of one random variant of an anatomy, as a bank stores them.

    Parameters
    ----------
    structures
        (160, 192, 176) `Structure` codes.
    seed
        Everything random follows from it.
    n
        Pairs, each by other scanners: the head takes most of the time.
    people
        Whether age (20 to 90 years) and disease (one of the three groups) change the regions, which takes
        longer; the anatomies' own ages and diseases show without it.
    """
    import torch

    pairs, person = _pairs(torch.from_numpy(structures).to(device), seed, n, people)
    return [as_sample(pair, person) for pair in pairs]


def as_sample(pair: Pair, person: Person | None, site: int = 0) -> Sample:
    """A pair as a bank stores it.

    Parameters
    ----------
    site
        Number of where it was scanned; protocols drawn at random are one site.
    """
    import torch
    from torch.nn import functional as F

    from pds_bids.core.modality import Modality
    from pds_bids.training.data import Sample, masked_median

    images = torch.stack(
        [
            torch.stack([role[m] / masked_median(role[m], pair.masks[m]) for m in Modality])
            for role in (pair.sources, pair.targets)
        ]
    )
    tissue = F.avg_pool3d(pair.tissue[None], 2)[0]
    tissue = torch.cat([tissue, (1 - tissue.sum(0, keepdim=True)).clamp(min=0)])
    return Sample(
        images.clamp(max=10).half().cpu().numpy(),
        torch.stack([pair.masks[m] for m in Modality]).cpu().numpy(),
        (tissue * 255).round().to(torch.uint8).cpu().numpy(),
        pair.t1w.half().cpu().numpy(),
        _covariates(person, site),
    )


def _pairs(structures: Tensor, seed: int, n: int, people: bool) -> tuple[list[Pair], Person | None]:
    """The pairs of a seed; of one derived from it where a person's regions have no room for their changes."""
    import torch

    from pds_bids.simulation.atrophy import VolumesNotReached
    from pds_bids.simulation.disease import draw_anybody
    from pds_bids.simulation.pairs import simulate_pairs

    generator = torch.Generator(structures.device).manual_seed(seed)
    person = draw_anybody(generator) if people else None
    try:
        return simulate_pairs(structures, generator, n, person=person), person
    except VolumesNotReached:
        return _pairs(structures, derived_seed(seed, "another person"), n, people)


def _covariates(person: Person | None, site: int) -> NDArray[np.float32]:
    from pds_bids.training.data import GROUPS, UNKNOWN_PERSON, Covariate

    covariates = UNKNOWN_PERSON.copy()
    if person is not None:
        who = {Covariate.GROUP: GROUPS.index(person.group.value), Covariate.AGE: person.age}
        who |= {Covariate.SEX: float(person.sex == "M"), Covariate.SITE: site}
        covariates[list(who)] = list(who.values())
    return covariates


def _fill(
    folder: Path, structures: NDArray[np.uint8], anatomy: int, rows: range, seed: int, people: bool
) -> None:
    import torch

    from pds_bids.training.data import PairBank

    torch.set_num_threads(1)
    bank = PairBank.load(folder, "r+")
    samples = simulated_samples(structures, derived_seed(seed, "head", rows.start), len(rows), people=people)
    for row, sample in zip(rows, samples, strict=True):
        bank.put(row, sample, anatomy)


@dataclass(frozen=True)
class PairStream:
    """Pairs that exist only while they are looked at: an accelerator never waits for a disk.

    Stands where a `PairBank` does.

    Attributes
    ----------
    anatomies
        (160, 192, 176) `Structure` codes each; pairs take them in turn.
    n_pairs
        Before the same pairs come again.
    seed
        Pair `i` follows from it and `i`.
    people
        As for `simulated_samples`.
    device
        Where pairs are simulated.
    """

    anatomies: tuple[NDArray[np.uint8], ...]
    n_pairs: int
    seed: int
    people: bool = True
    device: str = "cpu"

    def __len__(self) -> int:
        return self.n_pairs

    def get(self, rows: list[int]) -> Sample:
        """Simulate rows."""
        from pds_bids.training.data import Sample

        samples = [
            sample
            for row in rows
            for sample in simulated_samples(
                self.anatomies[row % len(self.anatomies)],
                derived_seed(self.seed, "pair", row),
                people=self.people,
                device=self.device,
            )
        ]
        return Sample(*(np.stack(arrays) for arrays in zip(*samples, strict=True)))


def simulate_bank(
    anatomies: dict[int, NDArray[np.uint8]],
    per_anatomy: int,
    folder: Path,
    seed: int,
    processes: int,
    *,
    people: bool = False,
    per_head: int = 1,
) -> PairBank:
    """Fill a bank with `per_anatomy` pairs of each anatomy.

    Parameters
    ----------
    anatomies
        Number of the anatomy -> (160, 192, 176) `Structure` codes.
    people
        As for `simulated_samples`.
    per_head
        Pairs scanned of each random variant of an anatomy.
    """
    from pds_bids.training.data import PairBank

    PairBank.create(folder, len(anatomies) * per_anatomy)
    with ProcessPoolExecutor(processes) as pool:
        jobs = []
        for k, (number, structures) in enumerate(sorted(anatomies.items())):
            end = (k + 1) * per_anatomy
            for start in range(k * per_anatomy, end, per_head):
                rows = range(start, min(start + per_head, end))
                jobs.append(pool.submit(_fill, folder, structures, number, rows, seed, people))
        for job in jobs:
            job.result()
    return PairBank.load(folder)
