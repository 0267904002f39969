"""Every method on every subject; what was scored once is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pds_bids.app.measures import curves, measured
from pds_bids.app.methods import Case, Contestant
from pds_bids.bids.writing import write_json
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Score
    from pds_bids.training.data import Pairs


@dataclass(frozen=True)
class Subjects:
    """Whom methods are scored on.

    Attributes
    ----------
    pairs
        A row a visit.
    subject
        Whose each row is.
    anatomy
        What each row was made from, or as good as that: bootstraps resample it first.
    """

    pairs: Pairs
    subject: Sequence[int | str]
    anatomy: Sequence[int]

    def __len__(self) -> int:
        return len(self.pairs)


def scored(
    subjects: Subjects, contestants: Mapping[str, Contestant], seed: int, folder: Path | None = None
) -> Iterator[Score]:
    """Every method on every visit in both directions, one visit in memory at a time.

    Parameters
    ----------
    contestants
        By a name that says what their scores follow from, subjects and `seed` apart.
    folder
        Of these subjects and this seed: a file for each contestant and visit is kept here, and what is found
        is not computed again.
    """
    for row in range(len(subjects)):
        for index, target in enumerate(Modality):
            seed_of_draws = derived_seed(seed, "draws", row, target)
            case = cache(partial(Case.of, subjects.pairs, row, index, seed_of_draws))
            who = subjects.subject[row], int(subjects.anatomy[row])
            for name, contestant in contestants.items():
                path = folder / name / f"{row:04d}-{target}.json" if folder else None
                yield from _kept(path, partial(_scores, contestant, case, who))
        print(f"visit {row + 1} of {len(subjects)}", flush=True)


def _kept(path: Path | None, make: Callable[[], list[Score]]) -> list[Score]:
    from pds_bids.evaluation.comparison import Score

    if path and path.is_file():
        return [Score(**score) for score in json.loads(path.read_text(encoding="utf-8"))["scores"]]
    scores = make()
    if path:
        write_json(path, {"scores": [asdict(score) for score in scores]})
    return scores


def _scores(contestant: Contestant, get: Callable[[], Case], who: tuple[int | str, int]) -> list[Score]:
    from pds_bids.evaluation.comparison import Score

    case = get()
    target, start = list(Modality)[case.target].value, time.monotonic()
    predictions = contestant(case)
    seconds = (time.monotonic() - start) / max(1, len(predictions))
    return [
        Score(target, method, *who, measured(prediction, case), curves(prediction, case), case.group, seconds)
        for method, prediction in predictions.items()
    ]
