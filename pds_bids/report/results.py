"""The page of an evaluation: what was found, tables, charts, and how the numbers came about.

One file, no network, no script, as the page of a participant is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pds_bids.report.page import data_address
from pds_bids.report.tables import Table
from pds_bids.report.templating import Value, environment


class Chart(NamedTuple):
    """A figure with its caption.

    Attributes
    ----------
    title
        Also drawn in the figure.
    svg
        See `encoding.to_svg`.
    """

    title: str
    svg: str
    caption: str

    @property
    def image(self) -> str:
        """The SVG as a `data:` address."""
        return data_address(self.svg)


@dataclass(frozen=True)
class Part:
    """One experiment.

    Attributes
    ----------
    title
        Its heading.
    subjects
        Who was measured, a key of `BANNERS`.
    findings
        Sentences.
    tables, charts
        In order.
    command
        What makes these numbers again; empty where it is not known.
    facts
        How the numbers came about, name to value.
    """

    title: str
    subjects: str
    findings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    command: str = ""
    facts: Mapping[str, Value] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """Who was measured, in two words."""
        return BANNERS[self.subjects][0]


BANNERS: Mapping[str, tuple[str, str]] = {
    "simulated": (
        "SIMULATED SUBJECTS",
        "No person was scanned for these numbers: scans of both kinds were computed from label maps, tissue "
        "properties and signal equations. On real scans errors are larger and intervals too narrow.",
    ),
    "real": (
        "REAL SUBJECTS",
        "Acquired scans, against which SYNTHETIC volumes were held. The numbers are about these people and "
        "scanners; volumes made by a model are for research only, never for diagnosis.",
    ),
    "synthetic": (
        "SYNTHETIC",
        "This dataset holds volumes that no scanner acquired: a model computed them. Scores hold them "
        "against acquired ones where there are any. For research only, never for diagnosis.",
    ),
    "dataset": (
        "SUBJECTS OF A DATASET",
        "Scans of a dataset, against which SYNTHETIC volumes were held; whether these scans were acquired or "
        "simulated, the dataset says. Volumes made by a model are for research only, never for diagnosis.",
    ),
}
"""Who the numbers are of, to what a reader must know about that."""


@dataclass(frozen=True)
class ResultsPage:
    """What the page says: `title`, and each experiment in order."""

    title: str
    parts: Sequence[Part]

    @property
    def banners(self) -> list[tuple[str, str, str]]:
        """Kind, headline and text of each banner that a part calls for."""
        kinds = {part.subjects: None for part in self.parts}
        return [(kind, *BANNERS[kind]) for kind in kinds]


def render_results(page: ResultsPage) -> str:
    """The page as HTML, complete in itself; any text in it is shown as it is, never interpreted."""
    return environment(escape=True).get_template("results.html").render(page=page)
