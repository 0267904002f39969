"""What a visit came to: each source prepared and, unless that was all, the other side synthesised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pds_bids.app.quality import measures
from pds_bids.app.scores import Reference, Score
from pds_bids.core.config import Subset
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.prep.source import Prepared
from pds_bids.synthesis.result import Synthesised


@dataclass(frozen=True)
class Preparation:
    """One source of a visit, prepared and written.

    Attributes
    ----------
    relative_source
        The source on the model grid, in units of the brain's median.
    """

    source: Modality
    prepared: Prepared
    relative_source: Volume
    warnings: Sequence[str]
    written: Sequence[Path]

    @property
    def measures(self) -> dict[str, float]:
        """Quality of the source."""
        return measures(self.prepared.facts)

    @property
    def shown(self) -> tuple[Volume, Modality]:
        """The volume that stands for it in the table of the group level."""
        return self.relative_source, self.source


@dataclass(frozen=True)
class Outcome(Preparation):
    """One source of a visit with the target synthesised from it and, if acquired, the real one."""

    synthesised: Synthesised
    reference: Reference | None
    scores: Sequence[Score]

    @property
    def target(self) -> Modality:
        """What was synthesised."""
        return self.synthesised.record.target

    @property
    def measures(self) -> dict[str, float]:
        """Quality of the source, and how far the model trusts it."""
        made = self.synthesised
        return measures(
            self.prepared.facts, outlier_score=made.outlier_score, outlier_limit=made.outlier_limit
        )

    @property
    def shown(self) -> tuple[Volume, Modality]:
        """The synthesised volume."""
        return self.synthesised.volume, self.target


@dataclass(frozen=True)
class Ending:
    """Which targets of a visit were made, and which were not.

    Attributes
    ----------
    only
        The part of the work that was asked for.
    made
        Targets whose outputs stand.
    refused
        The other ones, each with its cause.
    warnings
        About what was made.
    """

    only: Subset | None
    made: Sequence[Modality]
    refused: Mapping[Modality, ParticipantError]
    warnings: Sequence[str]

    @property
    def verb(self) -> str:
        """What was asked for."""
        return "prepared" if self.only == "preproc" else "synthesised"

    def name(self, target: Modality) -> str:
        """What is made for a target: the volume itself, or no more than its source."""
        return (target.other if self.only == "preproc" else target).full_name

    @property
    def complaints(self) -> list[str]:
        """What was not made, each with its cause."""
        return [f"{self.name(t)} was not {self.verb}: {error}" for t, error in self.refused.items()]

    @property
    def message(self) -> str:
        """All of it in one line; where nothing was made, no more than the causes."""
        if not self.made:
            return "; ".join(dict.fromkeys(map(str, self.refused.values())))
        done = f"{self.verb} {', '.join(map(self.name, self.made))}"
        return "; ".join([done, *self.complaints, *(f"warning: {text}" for text in self.warnings)])
