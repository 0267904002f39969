"""The page about one participant: one file, no network, no script of its own.

Figures are embedded as `data:` images, in which a browser runs no script and loads nothing; the page forbids
both to itself as well (Content-Security-Policy). All text is escaped. Viewers to scroll through volumes are
files of their own (see `viewer`), in frames that can do nothing but draw; the page stands without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from pds_bids.core.modality import Modality
from pds_bids.report.tables import Table
from pds_bids.report.templating import Value, environment

# what may stand unquoted in a data address between double quotes: base64 and most of SVG stay as they are
_URL_SAFE = " !$'()*+,-./:;=?@_~"


@dataclass(frozen=True)
class Section:
    """One figure with its heading.

    Attributes
    ----------
    title
        Heading, and entry in the list of contents.
    figure
        Path of the same SVG beside the page, relative to it.
    svg
        The SVG itself (see `encoding.to_svg`).
    caption
        What to look for in the figure.
    synthetic
        The figure shows a volume that no scanner acquired.
    """

    title: str
    figure: str
    svg: str
    caption: str
    synthetic: bool = False

    @property
    def alt(self) -> str:
        """What a reader who cannot see the figure is told."""
        return f"{'SYNTHETIC. ' if self.synthetic else ''}{self.title}. {self.caption}"

    @property
    def image(self) -> str:
        """The SVG as a `data:` address."""
        return data_address(self.svg)


@dataclass(frozen=True)
class Crash:
    """A fault of the program, not of the data.

    Attributes
    ----------
    step
        What was being done, in words.
    traceback
        As Python prints it.
    file
        Address of the file that holds the same, relative to the page.
    command
        What to type to run this participant again.
    """

    step: str
    traceback: str
    file: str
    command: str


@dataclass(frozen=True)
class ParticipantPage:
    """What the page says.

    Attributes
    ----------
    subject, session
        Labels without `sub-` and `ses-`; `session` is None where the dataset has none.
    acquired, synthesised
        Modalities; a modality in neither is missing.
    summary
        Heading to name and value of each fact and QC number, in order.
    test_only
        Made with coarse settings, not fit for analysis.
    sections
        Figures, in order.
    viewers
        Title of each viewer to its address, relative to the page.
    scores
        One row per comparison with an acquired volume; may be empty. All keys become columns, in the order in
        which they first appear.
    warnings, errors
        One line each.
    crash
        None unless the program itself failed.
    methods, references
        Paragraphs and bibliography (see `boilerplate`).
    settings, versions
        The configuration and the software, name to value.
    """

    subject: str
    session: str | None
    acquired: Sequence[Modality]
    synthesised: Sequence[Modality]
    summary: Mapping[str, Mapping[str, Value]]
    test_only: bool = False
    sections: Sequence[Section] = ()
    viewers: Mapping[str, str] = field(default_factory=dict)
    scores: Sequence[Mapping[str, Value]] = ()
    warnings: Sequence[str] = ()
    errors: Sequence[str] = ()
    crash: Crash | None = None
    methods: Sequence[str] = ()
    references: Sequence[str] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    versions: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Such as `sub-01, ses-pre`."""
        return f"sub-{self.subject}" + (f", ses-{self.session}" if self.session else "")

    @property
    def is_synthetic(self) -> bool:
        """Something on the page was not acquired by a scanner."""
        return bool(self.synthesised) or any(section.synthetic for section in self.sections)

    @property
    def states(self) -> Mapping[Modality, str]:
        """What became of each modality, in words."""
        acquired = {m: "acquired" if m in self.acquired else "missing" for m in Modality}
        return {m: f"{acquired[m]}, synthesised" if m in self.synthesised else acquired[m] for m in Modality}

    @property
    def score_table(self) -> Table:
        """The scores as a table."""
        return Table("Scores", self.scores)


def data_address(svg: str) -> str:
    """An SVG as a `data:` address, in which a browser runs no script and loads nothing."""
    return f"data:image/svg+xml,{quote(svg, safe=_URL_SAFE)}"


def render_participant(page: ParticipantPage) -> str:
    """The page as HTML, complete in itself.

    Parameters
    ----------
    page
        Any text in it is shown as it is, never interpreted.
    """
    return environment(escape=True).get_template("participant.html").render(page=page)
