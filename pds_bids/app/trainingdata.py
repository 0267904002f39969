"""Pairs to train on: made once by the process that leads, and kept until the checkpoint is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures
from pds_bids.app.bank import PairStream, simulate_bank
from pds_bids.app.provenance import fingerprint
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.training.data import Pairs
    from pds_bids.training.distributed import Team


def made_once(path: Path, team: Team, make: Callable[[Path], object]) -> Path:
    """A folder that the leader fills, complete or not there at all; the others wait for it.

    Parameters
    ----------
    path
        Must be seen by all processes.
    make
        Given an empty folder to fill; not called where `path` exists.
    """
    if team.leads and not path.is_dir():
        partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        os.replace(partial, path)
    team.wait()
    return path


@dataclass(frozen=True)
class SimulatedData:
    """Pairs simulated from label maps.

    Attributes
    ----------
    maps
        Label maps by name.
    parts
        Names by part of the split.
    table
        `[data]` of the preset.
    seed
        Every pair follows from it.
    folder
        Where pairs are kept. What it holds is named after all of this, so that no other recipe takes it.
    threads
        Of this process, and processes that fill a bank.
    team
        The processes that train.
    """

    maps: dict[str, Path]
    parts: dict[str, list[str]]
    table: dict[str, Any]
    seed: int
    folder: Path
    threads: int
    team: Team

    def training(self) -> Pairs:
        """A bank, or with `on_the_fly` a stream that is simulated on the device of each process."""
        per_anatomy = self.table["pairs_per_anatomy"]
        if not self._on_the_fly:
            return self._bank("train", per_anatomy, self.seed)
        anatomies = tuple(self._structures("train"))
        return PairStream(anatomies, per_anatomy * len(anatomies), self.seed, self._people, self.team.device)

    def calibration(self) -> Pairs:
        """A bank of the calibration anatomies; nothing random in it is as in training."""
        seed = derived_seed(self.seed, "calibration")
        return self._bank("calibration", self.table["calibration_pairs_per_anatomy"], seed)

    @property
    def _on_the_fly(self) -> bool:
        return bool(self.table.get("on_the_fly", False))

    @property
    def _people(self) -> bool:
        return bool(self.table.get("people", self._on_the_fly))

    def discard(self) -> None:
        """Delete what is kept; the leader does."""
        if self.team.leads:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _bank(self, part: str, per_anatomy: int, seed: int) -> Pairs:
        from pds_bids.training.data import PairBank

        numbers = [list(self.maps).index(name) for name in self.parts[part]]
        people, per_head = self._people, self.table.get("per_head", 1)

        def simulate(folder: Path) -> None:
            anatomies = dict(zip(numbers, self._aligned(part), strict=True))
            simulate_bank(
                anatomies, per_anatomy, folder, seed, self.threads, people=people, per_head=per_head
            )

        return PairBank.load(made_once(self._place(part, "pairs"), self.team, simulate))

    def _structures(self, part: str) -> NDArray[np.uint8]:
        def align(folder: Path) -> None:
            np.save(folder / "structures.npy", np.stack(self._aligned(part)))

        place = made_once(self._place(part, "anatomies"), self.team, align)
        structures: NDArray[np.uint8] = np.load(place / "structures.npy")
        return structures

    def _aligned(self, part: str) -> list[NDArray[np.uint8]]:
        return [aligned_structures(self.maps[name], self.threads) for name in self.parts[part]]

    def _place(self, part: str, kind: str) -> Path:
        sizes = {name: path.stat().st_size for name, path in self.maps.items()}
        what = fingerprint([sizes, self.parts[part], self.table, self.seed])
        return self.folder / f"{part}-{kind}-{what}"
