"""Whom trust is tested on: people simulated from held-out label maps, usual and with something unusual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.methods import Case, Outputs
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.simulation.disease import Person
    from pds_bids.simulation.pairs import Pair
    from pds_bids.training.data import Batch, Sample

PLAIN = "plain"

LESIONS = ("infarct, 40 mm", "small-vessel disease")
"""Circumstances under which healthy people are synthesised, too."""


class Kind(NamedTuple):
    """A value of `Group`, and limits of the age in years."""

    group: str
    ages: tuple[float, float]


KINDS = {
    "healthy": Kind("nc", (60, 90)),
    "healthy, young": Kind("nc", (20, 40)),
    "MCI": Kind("mci", (60, 90)),
    "AD": Kind("ad", (60, 90)),
}
"""The elder three are of the same ages, or the effects of age would show as those of disease."""


@dataclass(frozen=True)
class Volunteer:
    """One simulated person; nothing is simulated before it is looked at.

    Attributes
    ----------
    number
        Position in the study: kinds take turns, and within a kind the anatomies.
    n_anatomies
        Held-out label maps.
    seed
        Of the study.
    challenged
        Whether there are scans under all circumstances, or only under those that are synthesised.
    structures
        Gives the (160, 192, 176) `Structure` codes of an anatomy by its number.
    model
        What the person is shown to.
    """

    number: int
    n_anatomies: int
    seed: int
    challenged: bool
    structures: Callable[[int], NDArray[np.uint8]] = field(repr=False)
    model: PdsModel = field(repr=False)
    _outputs: dict[tuple[str, int], Outputs] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        """Key of `KINDS`."""
        return list(KINDS)[self.number % len(KINDS)]

    @property
    def anatomy(self) -> int:
        """Number of the label map."""
        return self.number // len(KINDS) % self.n_anatomies

    @property
    def lesions(self) -> tuple[str, ...]:
        """Circumstances that are synthesised besides the plain one."""
        return LESIONS if KINDS[self.kind].group == "nc" else ()

    def random(self, purpose: str) -> np.random.Generator:
        """Of this person, for one purpose."""
        return np.random.default_rng(derived_seed(self.seed, "volunteer", self.number, purpose))

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """One row each, by circumstance."""
        from pds_bids.app.bank import as_sample
        from pds_bids.simulation.variants import VARIANTS

        names = VARIANTS if self.challenged else (PLAIN, *self.lesions)
        pairs, person = self._simulated(tuple(names))
        return {name: alone(as_sample(pair, person)) for name, pair in pairs.items()}

    def _simulated(self, names: tuple[str, ...], attempt: int = 0) -> tuple[dict[str, Pair], Person]:
        """Somebody else where the person's regions have no room for their changes."""
        import torch

        from pds_bids.simulation.atrophy import VolumesNotReached
        from pds_bids.simulation.disease import draw_person
        from pds_bids.simulation.effects import Group
        from pds_bids.simulation.variants import VARIANTS, simulate_variants

        seed = derived_seed(self.seed, "volunteer", self.number, attempt)
        generator = torch.Generator().manual_seed(seed)
        group, ages = KINDS[self.kind]
        person = draw_person(Group(group), generator, ages)
        anatomy = torch.from_numpy(self.structures(self.anatomy))
        try:
            return simulate_variants(anatomy, generator, {n: VARIANTS[n] for n in names}, person), person
        except VolumesNotReached:
            return self._simulated(names, attempt + 1)

    def forget(self) -> None:
        """Free what was simulated and made; it would be simulated and made again."""
        self.__dict__.pop("samples", None)
        self._outputs.clear()

    def outputs(self, circumstance: str, target: int) -> Outputs:
        """What the model makes of a circumstance, made once; `target` is a position in `Modality`."""
        from pds_bids.training.data import make_batch

        key = circumstance, target
        if key not in self._outputs:
            case = Case(make_batch(self.samples[circumstance], [target], None), self.seed)
            self._outputs[key] = Outputs(self.model, case)
        return self._outputs[key]


def alone(sample: Sample) -> Sample:
    """One pair as the only row of several."""
    arrays: tuple[NDArray[Any], ...] = sample
    return type(sample)(*(np.asarray(array)[None] for array in arrays))


def source_batch(sample: Sample, source: int) -> Batch:
    """A batch whose source is `source`, a position in `Modality`."""
    from pds_bids.training.data import make_batch

    return make_batch(sample, [len(Modality) - 1 - source], None)
