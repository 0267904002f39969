"""Simulated people of a study, scanned at known sites: pairs on the model grid, made once and kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.kept import Arrays, aligned_once, kept
from pds_bids.app.experiments.setting import Setting
from pds_bids.app.provenance import fingerprint
from pds_bids.app.testbed import maps_of
from pds_bids.app.workers import workers
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.simulation.cohort import Visit
    from pds_bids.training.data import Sample


@dataclass(frozen=True)
class People:
    """Pairs of a simulated study. Stands where a `PairBank` does.

    Groups and sites are crossed and balanced, ages from 60 to 90. A person follows from the seed and a number
    alone: more people include the fewer.

    Attributes
    ----------
    maps
        Label maps by name; people take them in turn.
    n_people
        How many.
    sites
        Keys of `SITES`.
    everywhere
        Whether everybody is scanned at every site, a row each; otherwise at one.
    seed
        Of the study.
    folder
        Where each person is kept.
    """

    maps: Mapping[str, Path]
    n_people: int
    sites: Sequence[str]
    everywhere: bool
    seed: int
    folder: Path

    @classmethod
    def held_out(
        cls,
        setting: Setting,
        checkpoint: Checkpoint,
        sites: Sequence[str],
        part: str = "test",
        n_people: int | None = None,
        *,
        everywhere: bool = False,
    ) -> People:
        """From a part of the checkpoint's label maps: `n_people`, or as many as the setting says."""
        maps = maps_of(checkpoint, part, setting.maps)
        seed = derived_seed(setting.seed, "people", part)
        return cls(maps, n_people or setting.n_subjects, tuple(sites), everywhere, seed, setting.folder)

    @cached_property
    def visits(self) -> list[Visit]:
        """Who comes, in order."""
        from pds_bids.simulation.cohort import plan_cohort

        return plan_cohort(self.n_people, self.sites, seed=self.seed)

    @property
    def scans(self) -> int:
        """Rows of one person."""
        return len(self.sites) if self.everywhere else 1

    def __len__(self) -> int:
        return self.n_people * self.scans

    @property
    def person(self) -> NDArray[np.int64]:
        """(n,) number of the person of each row."""
        return np.arange(len(self)) // self.scans

    @property
    def anatomy(self) -> NDArray[np.int64]:
        """(n,) number of the label map that each row was made from."""
        return self.person % len(self.maps)

    @property
    def group(self) -> NDArray[np.int64]:
        """(n,) position in `GROUPS` of each row's diagnosis."""
        from pds_bids.training.data import GROUPS

        return np.array([GROUPS.index(self.visits[person].diagnosis.value) for person in self.person])

    def get(self, rows: list[int]) -> Sample:
        """Read rows, simulating first whoever is missing."""
        from pds_bids.training.data import Sample

        people = {row // self.scans: None for row in rows}
        stored = {person: self._of(person) for person in people}
        picked = ([stored[r // self.scans][name][r % self.scans] for r in rows] for name in Sample._fields)
        return Sample(*map(np.stack, picked))

    def simulate(self) -> None:
        """Make whoever is missing, on all CPUs of this process."""
        missing = [k for k in range(self.n_people) if not self._path(k).is_file()]
        for number in {k % len(self.maps) for k in missing}:
            self._structures(number)
        with workers(len(os.sched_getaffinity(0))) as pool:
            for done, _ in enumerate(pool.map(self._make_alone, missing), start=1):
                print(f"simulated {done} of {len(missing)} people", flush=True)

    def _make_alone(self, person: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._of(person)

    def _of(self, person: int) -> Arrays:
        """Fields of `Sample`, a row for each scan."""
        return kept(self._path(person), lambda: self._simulated(person))

    def _simulated(self, person: int) -> Arrays:
        from pds_bids.app.bank import as_sample
        from pds_bids.simulation.sites import SITES
        from pds_bids.training.data import Sample

        visit = self.visits[person]
        names = self.sites if self.everywhere else (visit.site,)
        pairs = _scanned(self._structures(person % len(self.maps)), visit, [SITES[name] for name in names])
        samples = [
            as_sample(pair, visit.person, list(SITES).index(name))
            for pair, name in zip(pairs, names, strict=True)
        ]
        fields = zip(*samples, strict=True)
        return {name: np.stack(arrays) for name, arrays in zip(Sample._fields, fields, strict=True)}

    def _structures(self, number: int) -> NDArray[np.uint8]:
        return aligned_once(list(self.maps.values())[number], self.folder)

    @cached_property
    def name(self) -> str:
        """Tells these people from others, however many they are."""
        sizes = {name: path.stat().st_size for name, path in self.maps.items()}
        return f"people-{fingerprint([sizes, self.sites, self.everywhere, self.seed])}"

    def _path(self, person: int) -> Path:
        return self.folder / self.name / f"{person:04d}.npz"


def _scanned(structures: NDArray[np.uint8], visit: Visit, sites: Sequence[Any]) -> list[Any]:
    """A pair for each site; another variant of the anatomy where the first has no room for the person."""
    import torch

    from pds_bids.simulation.atrophy import VolumesNotReached
    from pds_bids.simulation.pairs import simulate_pairs

    seed = visit.seed
    while True:
        generator = torch.Generator().manual_seed(seed)
        try:
            body = torch.from_numpy(structures)
            return simulate_pairs(body, generator, len(sites), person=visit.person, sites=sites)
        except VolumesNotReached:
            seed = derived_seed(seed, "another variant")
