"""One visit, start to finish: acquired series in, derivatives and a page out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from pds_bids.app.outputs import TEST_WARNING, VisitWriter
from pds_bids.app.pages import Outcome, viewer_file, visit_page, visit_sections, visit_viewer
from pds_bids.app.plan import VisitPlan
from pds_bids.app.quality import write_qualities
from pds_bids.app.scores import (
    MAIN,
    SOURCE,
    TEMPLATE,
    Candidate,
    Reference,
    Score,
    score,
    scoring_reference,
)
from pds_bids.bids.completion import discard, mark_complete, page_path
from pds_bids.bids.inventory import Visit
from pds_bids.bids.lock import visit_lock
from pds_bids.bids.sources import Series
from pds_bids.bids.writing import atomic_write, remove_partial, write_json, write_text
from pds_bids.core.config import Config, PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.prep.diffusion import reduce_dwi
from pds_bids.prep.functional import reduce_bold
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import prepare
from pds_bids.report.thumbnail import thumbnail
from pds_bids.synthesis.pipeline import Synthesiser
from pds_bids.synthesis.result import Synthesised

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

Reduce = Callable[[Modality], Reduced]
"""The visit's acquired series of a modality, reduced; raises `ParticipantError`."""

load_synthesiser = cache(Synthesiser.load)
"""One model per process."""


def run_visit(config: Config, plan: VisitPlan, synthesiser: Synthesiser, run_id: str) -> list[str]:
    """Do one visit; its completion marker is the last thing written.

    A target that cannot be made does not keep the other one from being made.

    Returns
    -------
    list of str
        Warnings.

    Raises
    ------
    ParticipantError
        If a target could not be made, after the other one was written.
    """
    visit, out = plan.visit, config.output_dir
    outcomes: list[Outcome] = []
    errors: list[ParticipantError] = []

    @cache
    def reduced(modality: Modality) -> Reduced:
        return REDUCE[modality](plan.usable(modality), config.prep)

    with visit_lock(out, visit.subject, visit.session):
        remove_partial(visit.folder(out))
        discard(out, visit.subject, visit.session)
        for target in plan.targets:
            with tempfile.TemporaryDirectory(prefix="visit-", dir=config.work_dir) as work:
                try:
                    outcomes.append(_synthesise(config, plan, target, reduced, Path(work), synthesiser))
                except ParticipantError as error:
                    errors.append(error)
        written = _write_page(config, plan, outcomes, errors)
        if not errors:
            mark_complete(out, visit.subject, visit.session, plan.fingerprint, run_id, written)
    if errors:
        raise errors[0]
    return list(dict.fromkeys(warning for outcome in outcomes for warning in outcome.warnings))


def _write_page(
    config: Config, plan: VisitPlan, outcomes: list[Outcome], errors: list[ParticipantError]
) -> list[Path]:
    """Figures, page and scores; returns everything the visit wrote."""
    visit, out = plan.visit, config.output_dir
    sections = visit_sections(visit, outcomes)
    for section in sections:
        write_text(out / section.figure, section.svg)
    thumbnails = [_write_thumbnail(out, visit, outcome) for outcome in outcomes]
    viewers = {out / viewer_file(visit, outcome): visit_viewer(outcome) for outcome in outcomes}
    for path, html in viewers.items():
        write_text(path, html)
    page = page_path(out, visit.subject, visit.session)
    write_text(page, visit_page(config, visit, outcomes, sections, [str(error) for error in errors]))
    scores = visit.folder(out) / "log" / "scores.json"
    write_json(scores, {"scores": [row for outcome in outcomes for row in outcome.scores]})
    qualities = {outcome.target.other: outcome.measures for outcome in outcomes}
    quality = write_qualities(visit.folder(out), qualities)
    images = [path for outcome in outcomes for path in outcome.written]
    return [
        *images,
        page,
        scores,
        quality,
        *thumbnails,
        *viewers,
        *(out / section.figure for section in sections),
    ]


def _write_thumbnail(out: Path, visit: Visit, outcome: Outcome) -> Path:
    """What was synthesised, for the table of the group level."""
    name = f"{visit.label.replace('/', '_')}_desc-thumbnail_{outcome.target.mean_suffix}.png"
    path = visit.folder(out) / "figures" / name
    made, mask = outcome.synthesised.volume, outcome.prepared.model_mask
    with atomic_write(path) as partial:
        partial.write_bytes(thumbnail(made, mask, synthetic=True))
    return path


def unusual_source(made: Synthesised) -> list[str]:
    """A warning about a source unlike all that the networks were trained on."""
    if made.outlier_score <= made.outlier_limit:
        return []
    return [
        f"the acquired {made.record.source.full_name} is unlike the scans the model was trained on (score "
        f"{made.outlier_score:.2f}, limit {made.outlier_limit:.2f}): look before you use the "
        f"{made.record.target.full_name} made from it"
    ]


def _synthesise(
    config: Config,
    plan: VisitPlan,
    target: Modality,
    reduced: Reduce,
    work: Path,
    synthesiser: Synthesiser,
) -> Outcome:
    visit, series = plan.visit, plan.usable(target.other)
    logger.info("%s: preparing %s", visit.label, target.other.full_name)
    warp = ATLAS_SPACE in config.output.spaces
    prepared = prepare(reduced(target.other), plan.t1w, work, config.prep, warp=warp)
    mask = prepared.model_mask
    scale = IntensityScale.fit(prepared.model, mask)
    t1w = IntensityScale.fit(prepared.t1w, mask).apply(prepared.t1w) if prepared.t1w else None

    logger.info("%s: synthesising %s", visit.label, target.full_name)
    seed = derived_seed(config.synthesis.seed, visit.subject, visit.session or "", target)
    source = scale.apply(prepared.model)
    made = synthesiser.synthesise(source, mask, target, config.synthesis, seed, t1w)

    warnings = [TEST_WARNING] if config.prep.sloppy else []
    warnings += [*series.notes, *prepared.warnings, *unusual_source(made)]
    writer = VisitWriter(config, visit, series, plan.t1w, prepared, tuple(warnings))
    writer.write_source()
    writer.write_synthesised(made)
    relative = scale.relative(prepared.model)
    reference: Reference | None = None
    scores: list[Score] = []
    if target in visit.acquired:
        try:
            reference = scoring_reference(reduced(target), prepared, config.prep)
            writer.write_reference(reference, plan.usable(target))
            candidates = [
                Candidate(MAIN, made.volume, made.sd),
                Candidate(TEMPLATE, synthesiser.templates[target]),
                Candidate(SOURCE, relative),
            ]
            scores = score(reference, candidates, target)
        except ParticipantError as error:
            warnings.append(f"not scored: {error}")
    return Outcome(prepared, relative, made, reference, scores, tuple(warnings), tuple(writer.written))
