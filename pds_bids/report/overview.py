"""The page of the group level: one row per visit, to be sorted and searched, and how their numbers spread.

One file and no network; the pictures are those of the participants' reports, read from beside it when they
are scrolled to. Its only script is `templates/overview.js`, which it allows by its hash and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.report.tables import Table
from pds_bids.report.templating import TEMPLATES, Value, environment

N_BINS = 24


class Entry(NamedTuple):
    """One visit.

    Attributes
    ----------
    name
        Such as `sub-01`.
    report
        Address of its report, relative to the page; empty where there is none.
    picture
        Address of a figure of what was made; empty where there is none.
    cells
        Column to value.
    flagged
        Columns whose value is unusual.
    """

    name: str
    report: str
    picture: str
    cells: Mapping[str, Value]
    flagged: Sequence[str] = ()


class Bar(NamedTuple):
    """One bar of a histogram: place, width and height in hundredths of the picture."""

    left: float
    width: float
    height: float


@dataclass(frozen=True)
class Spread:
    """How one number spreads over the visits.

    Attributes
    ----------
    title
        What is counted.
    values
        (N,) finite.
    """

    title: str
    values: NDArray[np.float64]

    @property
    def ends(self) -> tuple[str, str, str]:
        """Least, median and largest, as text."""
        low, middle, high = (f"{value:.3g}" for value in np.percentile(self.values, (0, 50, 100)))
        return low, middle, high

    @property
    def bars(self) -> list[Bar]:
        """Of a histogram from the least to the largest value."""
        counts, _ = np.histogram(self.values, N_BINS)
        width = 100 / N_BINS
        heights = 100 * counts / counts.max()
        return [Bar(k * width, width, float(height)) for k, height in enumerate(heights) if height]


@dataclass(frozen=True)
class OverviewPage:
    """What the page says.

    Attributes
    ----------
    states
        What is said of the whole: name to number.
    findings
        Sentences.
    tables
        Who is not complete and why, mean scores.
    spreads
        Distributions.
    columns
        Key of a cell to its heading.
    entries
        One row each.
    synthetic
        Whether the dataset holds volumes that no scanner acquired.
    """

    states: Mapping[str, Value]
    findings: Sequence[str]
    tables: Sequence[Table]
    spreads: Sequence[Spread]
    columns: Mapping[str, str]
    entries: Sequence[Entry]
    synthetic: bool = True


def render_overview(page: OverviewPage) -> str:
    """The page as HTML; any text in it is shown as it is, never interpreted."""
    script = (TEMPLATES / "overview.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment(escape=True).get_template("overview.html")
    return template.render(page=page, script=script, digest=digest)
