"""One visit, start to finish: acquired series in, derivatives and a page out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from pds_bids.app.outcome import Ending, Outcome, Preparation
from pds_bids.app.outputs import TEST_WARNING, VisitWriter
from pds_bids.app.pages import outcomes_of, viewer_file, visit_page, visit_viewer
from pds_bids.app.plan import VisitPlan
from pds_bids.app.preparation import write_preparation
from pds_bids.app.quality import write_qualities
from pds_bids.app.records import write_page
from pds_bids.app.reduction import reduce_series
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
from pds_bids.app.scratch import scratch_of_visit
from pds_bids.app.steps import Steps
from pds_bids.bids.completion import discard, mark_complete
from pds_bids.bids.inventory import Visit
from pds_bids.bids.writing import atomic_write, remove_partial, write_json, write_text
from pds_bids.core.config import Config, Subset
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.quality import beyond_limits
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import Prepared, prepare
from pds_bids.report.thumbnail import thumbnail
from pds_bids.synthesis.pipeline import Synthesiser
from pds_bids.synthesis.result import Synthesised

Reduce = Callable[[Modality], Reduced]
"""The visit's acquired series of a modality, reduced; raises `ParticipantError`."""

LIBRARIES = ("ants", "nilearn.masking", "nilearn.plotting", "scipy.ndimage")
"""What a visit imports, and a visit that is complete already does without."""

load_synthesiser = cache(Synthesiser.load)
"""One model per process."""


def run_visit(config: Config, plan: VisitPlan, synthesiser: Synthesiser, run_id: str, steps: Steps) -> Ending:
    """Do one visit, whose lock this process holds; its completion marker is the last thing written.

    A target that cannot be made does not keep the other one from being made, whose outputs then stay.
    """
    visit, out = plan.visit, config.output_dir
    made: dict[Modality, Preparation] = {}
    refused: dict[Modality, ParticipantError] = {}

    @cache
    def reduced(modality: Modality) -> Reduced:
        with steps(f"averaging {modality.full_name}"):
            return reduce_series(plan.usable(modality), config.prep)

    remove_partial(visit.folder(out))
    discard(out, visit.subject, visit.session)
    for target in plan.targets:
        with scratch_of_visit(config.work_dir) as work:
            try:
                prepared = _prepare(config, plan, target.other, reduced, work, steps)
                made[target] = (
                    write_preparation(config, plan, target.other, prepared)
                    if config.run.only == "preproc"
                    else _synthesise(config, plan, target, prepared, reduced, synthesiser, steps)
                )
            except ParticipantError as error:
                refused[target] = error
    warnings = list(dict.fromkeys(warning for part in made.values() for warning in part.warnings))
    ending = Ending(config.run.only, list(made), refused, warnings)
    with steps("drawing the page"):
        written = _write_page(config, plan, list(made.values()), ending.complaints)
    if not refused:
        mark_complete(out, visit.subject, visit.session, plan.fingerprint, run_id, written)
    return ending


def expected_steps(plan: VisitPlan, only: Subset | None) -> int:
    """How many steps `run_visit` will take, unless something goes wrong."""
    scored = sum(target in plan.visit.acquired for target in plan.targets)
    each = 2 if only == "preproc" else 4
    return each * len(plan.targets) + (0 if only == "preproc" else scored) + 1


def _write_page(
    config: Config, plan: VisitPlan, parts: Sequence[Preparation], errors: Sequence[str]
) -> list[Path]:
    """Figures, page, scores and measures; returns everything the visit wrote."""
    visit, out = plan.visit, config.output_dir
    outcomes = outcomes_of(parts)
    page = visit_page(config, visit, parts, errors)
    thumbnails = [_write_thumbnail(out, visit, part) for part in parts]
    viewers = {out / viewer_file(visit, outcome): visit_viewer(outcome) for outcome in outcomes}
    for path, html in viewers.items():
        write_text(path, html)
    scores = visit.folder(out) / "log" / "scores.json"
    write_json(scores, {"scores": [row for outcome in outcomes for row in outcome.scores]})
    quality = write_qualities(visit.folder(out), {part.source: part.measures for part in parts})
    images = [path for part in parts for path in part.written]
    return [*images, scores, quality, *thumbnails, *viewers, *write_page(out, visit, page)]


def _write_thumbnail(out: Path, visit: Visit, part: Preparation) -> Path:
    """What was made, for the table of the group level."""
    volume, modality = part.shown
    name = f"{visit.label.replace('/', '_')}_desc-thumbnail_{modality.mean_suffix}.png"
    path = visit.folder(out) / "figures" / name
    picture = thumbnail(volume, part.prepared.model_mask, synthetic=modality is not part.source)
    with atomic_write(path) as partial:
        partial.write_bytes(picture)
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


def _require_unsuspicious(config: Config, scan: Path, warnings: Sequence[str]) -> None:
    """With `--strict-qc`, make an error of measures beyond their limits; notes on reading are none.

    Raises
    ------
    ParticipantError
        With all of them.
    """
    if config.run.strict_qc and warnings:
        raise ParticipantError(scan, "; ".join(warnings), "repair it, or leave --strict-qc out")


def _prepare(
    config: Config, plan: VisitPlan, source: Modality, reduced: Reduce, work: Path, steps: Steps
) -> Prepared:
    mean, warp = reduced(source), ATLAS_SPACE in config.output.spaces
    with steps(f"aligning {source.full_name}"):
        prepared = prepare(mean, plan.t1w_for(source), work, config.prep, warp=warp)
    _require_unsuspicious(config, plan.usable(source).path, beyond_limits(prepared.facts))
    return prepared


def _synthesise(
    config: Config,
    plan: VisitPlan,
    target: Modality,
    prepared: Prepared,
    reduced: Reduce,
    synthesiser: Synthesiser,
    steps: Steps,
) -> Outcome:
    visit, series = plan.visit, plan.usable(target.other)
    mask = prepared.model_mask
    scale = IntensityScale.fit(prepared.model, mask)
    t1w = IntensityScale.fit(prepared.t1w, mask).apply(prepared.t1w) if prepared.t1w else None

    seed = derived_seed(config.synthesis.seed, visit.subject, visit.session or "", target)
    source = scale.apply(prepared.model)
    with steps(f"synthesising {target.full_name}"):
        made = synthesiser.synthesise(source, mask, target, config.synthesis, seed, t1w)

    _require_unsuspicious(config, series.path, unusual_source(made))
    warnings = [TEST_WARNING] if config.prep.sloppy else []
    warnings += [*series.notes, *prepared.warnings, *unusual_source(made)]
    head = plan.t1w_for(target.other)
    writer = VisitWriter(config, visit, series, head, prepared, tuple(warnings))
    with steps(f"writing {target.full_name}"):
        writer.write_source()
        writer.write_synthesised(made)
    relative = scale.relative(prepared.model)
    reference: Reference | None = None
    scores: list[Score] = []
    if target in visit.acquired:
        try:
            acquired = reduced(target)
            with steps(f"scoring {target.full_name}"):
                reference = scoring_reference(acquired, prepared, config.prep)
                writer.write_reference(reference, plan.usable(target))
                candidates = [
                    Candidate(MAIN, made.volume, made.sd),
                    Candidate(TEMPLATE, synthesiser.templates[target]),
                    Candidate(SOURCE, relative),
                ]
                scores = score(reference, candidates, target)
        except ParticipantError as error:
            warnings.append(f"not scored: {error}")
    told = tuple(warnings), tuple(writer.written)
    return Outcome(target.other, prepared, relative, *told, made, reference, scores)
