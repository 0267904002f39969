"""Who is scored by `pds-model evaluate`, and whom baselines are fitted to: simulated people, or a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pds_bids.app.cohort import load_cohort
from pds_bids.app.provenance import fingerprint
from pds_bids.app.scoring import Subjects
from pds_bids.app.testbed import maps_of, refuse_leaks, simulated_people
from pds_bids.app.trainingdata import made_once
from pds_bids.core.errors import UsageError
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.training.data import Pairs


@dataclass(frozen=True)
class Origin:
    """Where people come from: label maps, or else derivatives with who of them trains and who tests.

    Attributes
    ----------
    label_maps
        Folder of FreeSurfer-style label maps.
    derivatives, split
        As for `load_cohort`.

    Raises
    ------
    UsageError
        If it is both or neither.
    """

    label_maps: Path | None = None
    derivatives: Path | None = None
    split: Path | None = None

    def __post_init__(self) -> None:
        if (self.label_maps is None) == (self.derivatives is None):
            raise UsageError("--label-maps and --from-derivatives: give exactly one; people come from there")
        if self.split and not self.derivatives:
            raise UsageError(
                "--split: is of the people in --from-derivatives; give that too, or leave both out"
            )


class Panel(NamedTuple):
    """Whom an evaluation needs.

    Attributes
    ----------
    name
        Of all of them, as they are now.
    test
        Whom methods are scored on.
    training
        Makes or reads the pairs that baselines are fitted to.
    about
        What the record says of them.
    """

    name: str
    test: Subjects
    training: Callable[[], Pairs]
    about: dict[str, Any]


def simulated(
    main: Checkpoint,
    checkpoints: Mapping[str, Checkpoint],
    label_maps: Path,
    sizes: tuple[int, int],
    seed: int,
    folder: Path,
) -> Panel:
    """People simulated from the test maps of the main model, and others from its training maps.

    Parameters
    ----------
    sizes
        People to be scored, and pairs to fit baselines to.
    folder
        Where both are kept.

    Raises
    ------
    UsageError
        If a model has seen the test maps.
    """
    from pds_bids.training.data import PairBank

    n_subjects, n_fit = sizes
    test = maps_of(main, "test", label_maps)
    refuse_leaks(checkpoints, set(test))
    place = _simulated(test, n_subjects, folder, derived_seed(seed, "evaluate"))
    bank = PairBank.load(place)

    def training() -> Pairs:
        maps = dict(list(maps_of(main, "train", label_maps).items())[:n_fit])
        return PairBank.load(_simulated(maps, n_fit, folder, derived_seed(seed, "fit")))

    subjects = Subjects(bank, range(len(bank)), bank.anatomy.tolist())
    return Panel(place.name, subjects, training, {"test_maps": list(test)})


def _simulated(maps: Mapping[str, Path], n: int, folder: Path, seed: int) -> Path:
    """A bank that is made where there is none."""
    from pds_bids.training.distributed import Team

    sizes = {name: path.stat().st_size for name, path in maps.items()}
    place = folder / f"people-{fingerprint([sizes, n, seed])}"
    return made_once(place, Team(), lambda made: simulated_people(maps, n, made, seed))


def of_cohort(checkpoints: Mapping[str, Checkpoint], origin: Path, split: Path | None, seed: int) -> Panel:
    """People of a preprocessed cohort: the test part of its split, and the training part.

    Raises
    ------
    UsageError
        If nobody is in the test part, or the card of a model lists somebody of it as trained on.
    """
    cohort = load_cohort(origin, split, seed)
    test, about = cohort.parts["test"], cohort.about()
    if not test.visits:
        raise UsageError(f"--from-derivatives {origin}: nobody is in the part test of the split; move some")
    refuse_leaks(checkpoints, {f"{prefix}{name}" for name in test.subjects for prefix in ("", "sub-")})
    names = sorted(set(test.subjects))
    subjects = Subjects(test, test.subjects, [names.index(name) for name in test.subjects])
    others = [n for n, c in checkpoints.items() if c.card.get("cohort", about["cohort"]) != about["cohort"]]
    for name in others:
        print(f"{name}: was trained on another cohort or split, whose card names nobody; know whom it saw")
    said = {"subjects": about["subjects"], "cohort": about["cohort"], "trained_on_others": others}
    name = fingerprint([pairs.name for pairs in cohort.parts.values()])
    return Panel(f"cohort-{name}", subjects, cohort.training, said)
