"""A question of trust: what is measured of each volunteer, and what all of them together say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.kept import Arrays
from pds_bids.app.experiments.volunteers import Volunteer
from pds_bids.evaluation.comparison import Interval
from pds_bids.models.pdsmodel import PdsModel

FEWEST = 5
"""People that a verdict needs: of fewer, the bootstrap's intervals are too narrow."""


class Answer(NamedTuple):
    """Findings, tables and charts as in `Result`."""

    findings: list[str]
    tables: dict[str, list[dict[str, Any]]]
    charts: list[dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What was measured of N volunteers.

    Attributes
    ----------
    arrays
        By name, the first axis that of the volunteers.
    kind, anatomy
        (N,) of each.
    seed
        Of the bootstraps.
    """

    arrays: Arrays
    kind: NDArray[np.str_]
    anatomy: NDArray[np.int64]
    seed: int

    @classmethod
    def of(cls, volunteers: Sequence[Volunteer], records: Sequence[Arrays], seed: int) -> Measured:
        """From what `Chapter.measure` gave of each; whoever it gave nothing of is left out."""
        known = [(who, record) for who, record in zip(volunteers, records, strict=True) if record]
        arrays = {name: np.stack([record[name] for _, record in known]) for name in known[0][1]}
        kind = np.array([who.kind for who, _ in known])
        return cls(arrays, kind, np.array([who.anatomy for who, _ in known]), seed)


class Chapter(Protocol):
    """A module of these two functions."""

    def measure(self, volunteer: Volunteer) -> Arrays:
        """Arrays by name, of the same shapes whoever it is; none of somebody who has no part in it."""
        ...

    def answer(self, measured: Measured, model: PdsModel) -> Answer:
        """What the numbers say."""
        ...


def shown(interval: Interval | None, digits: int = 3) -> list[float] | None:
    """As a table of `Result` has it."""
    return None if interval is None else [round(value, digits) for value in interval]


def text(interval: Sequence[float] | None, digits: int = 2) -> str:
    """As a sentence has it."""
    if interval is None:
        return "n/a"
    mean, low, high = (f"{value:.{digits}f}" for value in interval)
    return f"{mean} [{low}, {high}]"
