"""One visit, start to finish: acquired series in, derivatives and a page out."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pds_bids import __version__
from pds_bids.app.outputs import VisitWriter, sidecars
from pds_bids.app.pages import Outcome, visit_page, visit_sections
from pds_bids.app.provenance import outcome_settings
from pds_bids.app.scores import score, scoring_reference
from pds_bids.bids.completion import discard, fingerprint, is_complete, mark_complete
from pds_bids.bids.inventory import Visit
from pds_bids.bids.sources import Series, select_series, select_t1w
from pds_bids.bids.writing import remove_partial, write_json, write_text
from pds_bids.core.config import Config, PrepConfig
from pds_bids.core.errors import NoSourceError, ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.prep.diffusion import reduce_dwi
from pds_bids.prep.functional import reduce_bold
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import prepare
from pds_bids.synthesis.pipeline import Synthesiser

logger = logging.getLogger(__name__)


def _reduce_bold(series: Series, config: PrepConfig) -> Reduced:
    return reduce_bold(series.path, series.metadata, config)


def _reduce_dwi(series: Series, config: PrepConfig) -> Reduced:
    if series.bval is None or series.bvec is None:
        raise ParticipantError(series.path, "has no gradient table", "add .bval and .bvec beside it")
    return reduce_dwi(series.path, series.bval, series.bvec, config)


REDUCE: Mapping[Modality, Callable[[Series, PrepConfig], Reduced]] = {
    Modality.BOLD: _reduce_bold,
    Modality.DWI: _reduce_dwi,
}

load_synthesiser = cache(Synthesiser.load)
"""One model per process."""


@dataclass(frozen=True)
class VisitPlan:
    """What is to be done for a visit, and whether it was done already."""

    visit: Visit
    targets: tuple[Modality, ...]
    series: dict[Modality, Series]
    t1w: Path | None
    fingerprint: str

    def is_done(self, out: Path) -> bool:
        """All outputs are there, made from the same inputs with the same settings."""
        return is_complete(out, self.visit.subject, self.visit.session, self.fingerprint)


def plan_visit(config: Config, visit: Visit, synthesiser: Synthesiser) -> VisitPlan:
    """Choose series and find out what they and the settings hash to.

    Raises
    ------
    NoSourceError
        If neither modality was acquired.
    ParticipantError
        If a series is unusable.
    """
    if not visit.acquired:
        raise no_source(config.bids_dir, visit)
    selection = config.selection
    targets = visit.targets(selection.targets, selection.evaluate)
    needed = {target.other for target in targets} | {target for target in targets if target in visit.acquired}
    series = {m: select_series(config.bids_dir, visit, m, selection.task) for m in sorted(needed)}
    t1w = select_t1w(config.bids_dir, visit)
    files = [path for s in series.values() for path in (*s.files, *sidecars(s))] + ([t1w] if t1w else [])
    facts = outcome_settings(config) | {"weights": synthesiser.checkpoint.sha256, "version": __version__}
    return VisitPlan(visit, targets, series, t1w, fingerprint(facts, files))


def no_source(bids_dir: Path, visit: Visit) -> NoSourceError:
    """The line for a visit that has nothing to start from."""
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


def run_visit(config: Config, plan: VisitPlan, synthesiser: Synthesiser) -> None:
    """Do one visit; its completion marker is the last thing written.

    Raises
    ------
    ParticipantError
        If a series or its registration is unusable.
    """
    visit, out = plan.visit, config.output_dir
    remove_partial(visit.folder(out))
    discard(out, visit.subject, visit.session)
    with _work_folder(config.work_dir / visit.label) as work:
        reduced = {m: REDUCE[m](series, config.prep) for m, series in plan.series.items()}
        writers, outcomes = [], []
        for target in plan.targets:
            writer, outcome = _synthesise(config, plan, reduced, target, work, synthesiser)
            writers.append(writer)
            outcomes.append(outcome)
    written = [path for writer in writers for path in writer.written]
    sections = visit_sections(visit, outcomes)
    for section in sections:
        write_text(out / section.figure, section.svg)
    page = out / f"{visit.label.replace('/', '_')}.html"
    write_text(page, visit_page(config, visit, outcomes, sections))
    scores = visit.folder(out) / "log" / "scores.json"
    write_json(scores, {"scores": [row for outcome in outcomes for row in outcome.scores]})
    written += [page, scores, *(out / section.figure for section in sections)]
    mark_complete(out, visit.subject, visit.session, plan.fingerprint, written)


def _synthesise(
    config: Config,
    plan: VisitPlan,
    reduced: Mapping[Modality, Reduced],
    target: Modality,
    work: Path,
    synthesiser: Synthesiser,
) -> tuple[VisitWriter, Outcome]:
    visit, source = plan.visit, target.other
    logger.info("%s: preparing %s", visit.label, source.full_name)
    prepared = prepare(reduced[source], plan.t1w, work / source.value, config.prep)
    writer = VisitWriter(
        config.bids_dir,
        config.output_dir,
        visit,
        plan.series[source],
        prepared,
        config.output.spaces,
        config.prep.sloppy,
    )
    writer.write_source()
    scale = IntensityScale.fit(prepared.model, prepared.model_mask)
    logger.info("%s: synthesising %s", visit.label, target.full_name)
    seed = derived_seed(config.synthesis.seed, visit.subject, visit.session or "", target)
    made = synthesiser.synthesise(
        scale.apply(prepared.model), prepared.model_mask, target, config.synthesis, seed
    )
    writer.write_synthesised(made)
    relative = scale.relative(prepared.model)
    scores: list[dict[str, str | float]] = []
    if target in visit.acquired:
        reference = scoring_reference(reduced[target], prepared, config.prep)
        candidates = {
            "pds": made.volume,
            "population template": synthesiser.templates[target],
            "registered source": relative,
        }
        scores = score(reference, candidates, target)
    return writer, Outcome(prepared, relative, made, scores)


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """A folder for intermediate files that is gone afterwards, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
