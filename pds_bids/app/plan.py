"""What is to be done for one visit, and whether it was done already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pds_bids import __version__
from pds_bids.app.provenance import outcome_settings
from pds_bids.bids.completion import fingerprint, is_complete
from pds_bids.bids.inventory import Visit
from pds_bids.bids.reuse import reuse
from pds_bids.bids.sources import Series, select_series, select_t1w
from pds_bids.core.config import Config
from pds_bids.core.errors import NoSourceError, ParticipantError
from pds_bids.core.modality import Modality


@dataclass(frozen=True)
class VisitPlan:
    """The work of one visit.

    Attributes
    ----------
    targets
        What to synthesise.
    series
        Acquired series that take part, as sources or, with `--evaluate`, to score against.
    problems
        Why the series of a modality cannot be used.
    t1w
        The subject's T1w image in the raw dataset, if there is one.
    fingerprint
        Hash of inputs, settings and weights.
    """

    visit: Visit
    targets: tuple[Modality, ...]
    series: dict[Modality, Series]
    problems: dict[Modality, ParticipantError]
    t1w: Path | None
    fingerprint: str

    def is_done(self, out: Path) -> bool:
        """All outputs are there, made from the same inputs with the same settings."""
        return is_complete(out, self.visit.subject, self.visit.session, self.fingerprint)

    def usable(self, modality: Modality) -> Series:
        """The acquired series of a modality.

        Raises
        ------
        ParticipantError
            If it cannot be used.
        """
        if modality in self.problems:
            raise self.problems[modality]
        return self.series[modality]

    def t1w_for(self, source: Modality) -> Path | None:
        """The T1w image that goes with a source: that of the derivative dataset which a source comes from.

        Raises
        ------
        ParticipantError
            If the source cannot be used.
        """
        reused = self.usable(source).reused
        return reused.t1w if reused and reused.t1w else self.t1w


def plan_visit(config: Config, visit: Visit, weights_sha256: str) -> VisitPlan:
    """Choose series, and find out what they and the settings hash to.

    Raises
    ------
    NoSourceError
        If neither modality was acquired.
    """
    if not visit.acquired:
        raise _no_source(config.bids_dir, visit)
    selection = config.selection
    targets = visit.targets(selection.targets, selection.evaluate)
    needed = {target.other for target in targets} | (visit.acquired & set(targets))
    series: dict[Modality, Series] = {}
    problems: dict[Modality, ParticipantError] = {}
    for modality in sorted(needed):
        try:
            raw = select_series(
                config.bids_dir,
                visit,
                modality,
                selection.task,
                filters=selection.filters,
                database_dir=selection.database_dir,
            )
            series[modality] = reuse(raw, visit, selection.derivatives)
        except ParticipantError as error:
            problems[modality] = error
    t1w = select_t1w(config.bids_dir, visit, selection.filters)
    heads = {t1w, *(chosen.reused.t1w for chosen in series.values() if chosen.reused)}
    files = [*(path for chosen in series.values() for path in chosen.files), *filter(None, heads)]
    facts = outcome_settings(config) | {
        "weights": weights_sha256,
        "version": __version__,
        "metadata": {modality.value: chosen.metadata for modality, chosen in series.items()},
    }
    return VisitPlan(visit, targets, series, problems, t1w, fingerprint(facts, files))


def _no_source(bids_dir: Path, visit: Visit) -> NoSourceError:
    if visit.unreadable:
        return NoSourceError(
            visit.unreadable[0],
            "the link points nowhere or may not be read",
            "run `datalad get`, or restore it",
        )
    return NoSourceError(
        visit.folder(bids_dir),
        "neither fMRI nor dMRI was acquired",
        "nothing to synthesise from: leave it out",
    )
