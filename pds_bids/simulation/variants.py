"""One body under several circumstances, all else that is random being the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.simulation.body import body_of, grown
from pds_bids.simulation.disease import Person
from pds_bids.simulation.lesions import with_infarct, with_small_vessel_disease
from pds_bids.simulation.pairs import DrawProtocol, Pair, scanned
from pds_bids.simulation.physics import TissueProperties
from pds_bids.simulation.protocol import Acquisition, random_acquisition

Change = Callable[[Tensor, TissueProperties, torch.Generator], tuple[Tensor, TissueProperties]]
"""(160, 192, 176) structures and tissue maps to what they are under some circumstance."""

FIELD_7T = {"t1": 1.4, "t2": 0.75, "t2_star": 0.55}
"""Relaxation times at 7 T over those at 3 T, about [R]."""


def unchanged(
    structures: Tensor, tissue: TissueProperties, _: torch.Generator
) -> tuple[Tensor, TissueProperties]:
    """As it is."""
    return structures, tissue


def at_7t(
    structures: Tensor, tissue: TissueProperties, _: torch.Generator
) -> tuple[Tensor, TissueProperties]:
    """The relaxation of another field strength, for sources and targets alike."""
    faster = {name: getattr(tissue, name) * factor for name, factor in FIELD_7T.items()}
    return structures, replace(tissue, **faster)


def outside(modality: Modality, generator: torch.Generator, *, said: Mapping[Modality, Any]) -> Acquisition:
    """A protocol drawn as in training, but for what is said of a modality."""
    return replace(random_acquisition(modality, generator), **said.get(modality, {}))


@dataclass(frozen=True)
class Variant:
    """A circumstance.

    Attributes
    ----------
    change
        Of the body.
    protocol
        Of the sources; targets keep theirs.
    """

    change: Change = unchanged
    protocol: DrawProtocol = random_acquisition


PLAIN = "plain"

INFARCTS_MM = (10, 20, 40)

VARIANTS: Mapping[str, Variant] = {
    PLAIN: Variant(),
    **{f"infarct, {mm} mm": Variant(partial(with_infarct, diameter_mm=mm)) for mm in INFARCTS_MM},
    "small-vessel disease": Variant(partial(with_small_vessel_disease, share=0.1)),
    "7 T": Variant(at_7t),
    "long echo": Variant(
        protocol=partial(outside, said={Modality.BOLD: {"te_ms": 60.0}, Modality.DWI: {"te_ms": 150.0}})
    ),
    "b = 4000": Variant(protocol=partial(outside, said={Modality.DWI: {"b_value": 4000.0}})),
}
"""By name. Training draws echo times of 24 to 35 ms (BOLD) and 65 to 100 ms (DWI), and b up to 2500 s/mm2."""


def simulate_variants(
    structures: Tensor, generator: torch.Generator, variants: Mapping[str, Variant], person: Person | None
) -> dict[str, Pair]:
    """A pair of scans under each circumstance, by its name.

    Parameters
    ----------
    structures, generator, person
        As for `simulate_pairs`, whose first pair the plain variant is.
    """
    anatomy = grown(structures, generator, 3.0, person)
    state = generator.get_state()
    pairs = {}
    for name, variant in variants.items():
        generator.set_state(state)
        body = body_of(*variant.change(*anatomy, generator))
        generator.set_state(state)
        pairs[name] = scanned(body, generator, variant.protocol)
    return pairs
