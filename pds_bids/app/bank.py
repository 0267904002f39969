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


def simulated_sample(
    structures: NDArray[np.uint8], seed: int, *, people: bool = False, device: str = "cpu"
) -> Sample:
    """One random pair from one anatomy, as a bank stores it.

    Parameters
    ----------
    structures
        (160, 192, 176) `Structure` codes.
    seed
        Everything random follows from it.
    people
        Whether age (20 to 90 years) and disease (one of the three groups) change the regions, which takes
        twice the time; the anatomies' own ages and diseases show without it.
    """
    import torch
    from torch.nn import functional as F

    from pds_bids.core.modality import Modality
    from pds_bids.training.data import Sample, masked_median

    pair, person = _pair(torch.from_numpy(structures).to(device), seed, people)
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
        _covariates(person),
    )


def _pair(structures: Tensor, seed: int, people: bool) -> tuple[Pair, Person | None]:
    """The pair of a seed; of one derived from it where a person's regions have no room for their changes."""
    import torch

    from pds_bids.simulation.atrophy import VolumesNotReached
    from pds_bids.simulation.disease import draw_anybody
    from pds_bids.simulation.pairs import simulate_pair

    generator = torch.Generator(structures.device).manual_seed(seed)
    person = draw_anybody(generator) if people else None
    try:
        return simulate_pair(structures, generator, person=person), person
    except VolumesNotReached:
        return _pair(structures, derived_seed(seed, "another person"), people)


def _covariates(person: Person | None) -> NDArray[np.float32]:
    from pds_bids.training.data import GROUPS, UNKNOWN_PERSON, Covariate

    covariates = UNKNOWN_PERSON.copy()
    if person is not None:
        who = {Covariate.GROUP: GROUPS.index(person.group.value), Covariate.AGE: person.age}
        who |= {Covariate.SEX: float(person.sex == "M"), Covariate.SITE: 0}  # protocols are random: one site
        covariates[list(who)] = list(who.values())
    return covariates


def _fill(
    folder: Path, structures: NDArray[np.uint8], anatomy: int, rows: range, seed: int, people: bool
) -> None:
    import torch

    from pds_bids.training.data import PairBank

    torch.set_num_threads(1)
    bank = PairBank.load(folder, "r+")
    for row in rows:
        seed_of_row = derived_seed(seed, "pair", anatomy, row)
        bank.put(row, simulated_sample(structures, seed_of_row, people=people), anatomy)


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
        As for `simulated_sample`.
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
            simulated_sample(
                self.anatomies[row % len(self.anatomies)],
                derived_seed(self.seed, "pair", row),
                people=self.people,
                device=self.device,
            )
            for row in rows
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
) -> PairBank:
    """Fill a bank with `per_anatomy` variants of each anatomy.

    Parameters
    ----------
    anatomies
        Number of the anatomy -> (160, 192, 176) `Structure` codes.
    people
        As for `simulated_sample`.
    """
    from pds_bids.training.data import PairBank

    PairBank.create(folder, len(anatomies) * per_anatomy)
    with ProcessPoolExecutor(processes) as pool:
        jobs = [
            pool.submit(_fill, folder, s, number, range(k * per_anatomy, (k + 1) * per_anatomy), seed, people)
            for k, (number, s) in enumerate(sorted(anatomies.items()))
        ]
        for job in jobs:
            job.result()
    return PairBank.load(folder)
