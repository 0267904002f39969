"""`pds-model experiment trust`: when what a model makes can be believed, and whether it says when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.kept import Arrays, aligned_once, kept
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.app.testbed import maps_of

if TYPE_CHECKING:
    from pds_bids.app.experiments.chapter import Answer, Chapter
    from pds_bids.app.experiments.volunteers import Volunteer
    from pds_bids.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Plan:
    """What is asked beyond the setting.

    Attributes
    ----------
    n_challenged
        Of the people, the first so many are scanned with lesions, artefacts and unusual protocols, too, and
        have their references misaligned.
    training_bank
        The pairs that the model was trained on; None simulates some of them again.
    """

    n_challenged: int = 12
    training_bank: Path | None = None


def run(plan: Plan, setting: Setting) -> int:
    """Measure every volunteer, write what the chapters say.

    Raises
    ------
    UsageError
        If the card of the model names no held-out maps, or it knows no pattern of the disease.
    """
    from pds_bids.app.experiments import coverage, hallucination, misalignment, ood
    from pds_bids.app.experiments.chapter import Measured

    checkpoint = setting.checkpoint()
    hallucination.known_pattern(checkpoint.model)
    folder = setting.folder / f"trust-{checkpoint.sha256[:12]}-{setting.seed}"
    chapters: dict[str, Chapter] = {
        "calibration": coverage,
        "unusual sources": ood,
        "hallucination": hallucination,
        "memorisation": _memorisation(plan, setting, checkpoint, folder),
        "misalignment": misalignment,
    }
    records: dict[str, list[Arrays]] = {name: [] for name in chapters}
    people = list(_volunteers(plan, setting, checkpoint))
    for person in people:
        for name, chapter in chapters.items():
            scope = "challenged" if person.challenged else "plain"
            file = folder / f"{person.number:04d}-{scope}-{name.replace(' ', '-')}.npz"
            records[name].append(kept(file, partial(chapter.measure, person)))
        person.forget()
        print(f"person {person.number + 1} of {len(people)}", flush=True)
    model = checkpoint.model
    answers = [c.answer(Measured.of(people, records[n], setting.seed), model) for n, c in chapters.items()]
    write_result(_result(answers), plan, setting, checkpoint)
    return 0


def _volunteers(plan: Plan, setting: Setting, checkpoint: Checkpoint) -> Iterator[Volunteer]:
    from pds_bids.app.experiments.volunteers import Volunteer

    maps = maps_of(checkpoint, "test", setting.maps)
    structures = anatomies(maps, setting.folder)
    for number in range(setting.n_subjects):
        challenged = number < plan.n_challenged
        yield Volunteer(number, len(maps), setting.seed, challenged, structures, checkpoint.model)


def _memorisation(plan: Plan, setting: Setting, checkpoint: Checkpoint, folder: Path) -> Chapter:
    from pds_bids.app.experiments.memorisation import Memorisation

    maps = maps_of(checkpoint, "train", setting.maps)
    return Memorisation(checkpoint, plan.training_bank, anatomies(maps, setting.folder), len(maps), folder)


def anatomies(maps: Mapping[str, Path], folder: Path) -> Callable[[int], NDArray[np.uint8]]:
    """Gives the (160, 192, 176) `Structure` codes of a map by its number, aligned once."""
    paths = list(maps.values())
    return cache(lambda number: aligned_once(paths[number], folder))


def _result(answers: list[Answer]) -> Result:
    return Result(
        "trust",
        "When can what the model makes be believed, and does it say when not?",
        [finding for answer in answers for finding in answer.findings],
        {title: rows for answer in answers for title, rows in answer.tables.items()},
        [chart for answer in answers for chart in answer.charts],
    )
