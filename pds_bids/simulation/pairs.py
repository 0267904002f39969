"""One anatomy to pairs of volumes as the app would hand them to the networks.

Everything random comes from one generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.simulation.artefacts import spoiled
from pds_bids.simulation.body import Body, Interior, body_of, grown, interior_of
from pds_bids.simulation.disease import Person
from pds_bids.simulation.imaging import imaged, weighted
from pds_bids.simulation.masks import brain_mask
from pds_bids.simulation.protocol import (
    Acquisition,
    random_acquisition,
    random_t1w,
    reference_acquisition,
)
from pds_bids.simulation.sites import Site
from pds_bids.simulation.weighting import t1w_magnetisation

DrawProtocol = Callable[[Modality, torch.Generator], Acquisition]
"""How a modality is scanned, with whatever is random about it."""


@dataclass(frozen=True)
class Pair:
    """Both modalities of one simulated subject on `MODEL_GRID`, positive values in arbitrary units.

    Attributes
    ----------
    sources
        (X, Y, Z) float32 each, from any protocol: what the app may be given.
    targets
        (X, Y, Z) float32 each, from about the reference protocol: what it is to synthesise.
    masks
        (X, Y, Z) bool each: the brain mask the app would derive from that modality, errors included.
    t1w
        (X, Y, Z) float32 T1-weighted image of the same head, free of distortion and dropout.
    tissue
        (3, X, Y, Z) fractions of grey matter, white matter and CSF.
    structures
        (160, 192, 176) uint8 truth at 1 mm.
    """

    sources: dict[Modality, Tensor]
    targets: dict[Modality, Tensor]
    masks: dict[Modality, Tensor]
    t1w: Tensor
    tissue: Tensor
    structures: Tensor


def simulate_pairs(
    structures: Tensor,
    generator: torch.Generator,
    n: int,
    sd_mm: float = 3.0,
    person: Person | None = None,
    sites: Sequence[Site] = (),
) -> list[Pair]:
    """Several pairs of scans of one random variant of an anatomy, each by other scanners.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes, brain affinely aligned to the atlas.
    generator
        The only source of randomness; its device is where the work is done.
    n
        Pairs. The first does not depend on how many follow.
    sd_mm
        Standard deviation of the anatomical deformation; 0 keeps all but the sulci as they are.
    person
        Whose age and disease change the regions; None leaves them as they are in the anatomy.
    sites
        Where sources come from, in turn; from anywhere where none is named.
    """
    body = body_of(*grown(structures, generator, sd_mm, person))
    protocols = [_of_site(site) for site in sites] or [random_acquisition]
    return [scanned(body, generator, protocols[k % len(protocols)]) for k in range(n)]


def repeated_targets(
    structures: Tensor, generator: torch.Generator, n: int, person: Person
) -> tuple[list[dict[Modality, Tensor]], Tensor]:
    """`Pair.targets` of one subject, scanned `n` times: what differs in them, nothing could predict.

    Other parameters are those of `simulate_pairs`; the second tensor is the (X, Y, Z) share of the brain.
    """
    body = body_of(*grown(structures, generator, 3.0, person))
    interior = interior_of(body, generator)
    return [_targets(body, interior, generator) for _ in range(n)], body.fractions.sum(0)


def _of_site(site: Site) -> DrawProtocol:
    """What a site runs, whoever comes."""
    return lambda modality, _: site.acquisition(modality)


def scanned(body: Body, generator: torch.Generator, protocol: DrawProtocol = random_acquisition) -> Pair:
    """One pair of scans; `protocol` is what the sources are scanned by."""
    interior = interior_of(body, generator)

    def source(modality: Modality) -> Tensor:
        scan = protocol(modality, generator)
        return spoiled(weighted(modality, scan, body, interior, generator), generator)

    sources = {m: source(m) for m in Modality}
    targets = _targets(body, interior, generator)
    masks = {m: brain_mask(body.brain, sources[m], generator) for m in Modality}
    scan = random_t1w(generator)
    t1w = imaged(t1w_magnetisation(body.cells.tissue, scan), body, interior, scan, generator)
    return Pair(sources, targets, masks, t1w, body.fractions, body.structures)


def _targets(body: Body, interior: Interior, generator: torch.Generator) -> dict[Modality, Tensor]:
    return {m: weighted(m, reference_acquisition(m, generator), body, interior, generator) for m in Modality}
