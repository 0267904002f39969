"""What makes a BOLD series move although the head lies still: rest, heartbeat, breath and drift.

Every fluctuation is a smooth spatial pattern times a sum of cosines in its band, so that it can be evaluated
at the very moment when a slice is excited: a heartbeat aliases as it does in a real series.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import TISSUES, Structure
from pds_bids.simulation.sites import Protocol
from pds_bids.simulation.smoothing import block_means, smooth_noise


@dataclass(frozen=True)
class Fluctuation:
    """One source of change over time.

    Attributes
    ----------
    sd
        Standard deviation relative to the mean signal where the pattern is one [R].
    band_hz
        Frequencies of its cosines.
    where
        Structures that show it.
    n_patterns, n_cosines
        Spatial components, and cosines in the course of each.
    knots
        Detail of the patterns.
    """

    sd: float
    band_hz: tuple[float, float]
    where: tuple[Structure, ...]
    n_patterns: int = 1
    n_cosines: int = 1
    knots: int = 4


FLUID = (*TISSUES["CSF"], Structure.SOFT)

FLUCTUATIONS = {
    "resting": Fluctuation(0.005, (0.01, 0.1), TISSUES["GM"], n_patterns=5, n_cosines=6, knots=10),
    "cardiac": Fluctuation(0.02, (0.9, 1.2), FLUID, knots=10),
    "respiratory": Fluctuation(0.004, (0.2, 0.33), tuple(Structure)),
    "drift": Fluctuation(0.005, (0.0005, 0.004), tuple(Structure), n_cosines=2),
}
"""Five resting components of 0.5 % add up to about 1 % of the mean."""


def fluctuations(structures: Tensor, protocol: Protocol, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Relative change of the signal over a series, as patterns and courses.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8.

    Returns
    -------
    tuple of Tensor
        (C, 80, 96, 88) patterns in model space, and (C, T, Z) courses at the time when each slice of each
        volume is excited. The change is the sum of their products.
    """
    device = structures.device
    volumes = torch.arange(protocol.n_volumes, device=device)[:, None] * protocol.tr_s
    times_s = volumes + torch.tensor(protocol.slice_times_s, dtype=torch.float32, device=device)
    patterns, courses = [], []
    for kind in FLUCTUATIONS.values():
        shown = torch.isin(structures, torch.tensor(kind.where, dtype=torch.uint8, device=device))
        share = block_means(shown[None].float())
        patterns.append(share * smooth_noise(MODEL_GRID.shape, kind.knots, kind.n_patterns, generator)[0])
        courses += [kind.sd * _course(kind, times_s, generator) for _ in range(kind.n_patterns)]
    return torch.cat(patterns), torch.stack(courses)


def _course(kind: Fluctuation, times_s: Tensor, generator: torch.Generator) -> Tensor:
    """A sum of cosines with unit variance over a long time."""
    drawn = torch.rand((2, kind.n_cosines), generator=generator, device=generator.device)
    low, high = kind.band_hz
    phase = 2 * math.pi * (times_s[..., None] * (low + (high - low) * drawn[0]) + drawn[1])
    return torch.cos(phase).sum(-1) * math.sqrt(2 / kind.n_cosines)
