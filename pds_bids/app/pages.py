"""The page of one visit, from what was prepared, synthesised and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pds_bids.app.outcome import Outcome, Preparation
from pds_bids.app.provenance import flat, settings, software_versions
from pds_bids.app.quality import MEASURES
from pds_bids.app.scores import METRICS, Score
from pds_bids.bids.description import CALIBRATION
from pds_bids.bids.inventory import Visit
from pds_bids.core.config import Config
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.prep.atlas import template
from pds_bids.report.boilerplate import MethodFacts, methods, references
from pds_bids.report.encoding import to_svg
from pds_bids.report.figures import Row, comparison, mosaic, overlay
from pds_bids.report.histogram import histograms
from pds_bids.report.page import Crash, ParticipantPage, Section
from pds_bids.report.viewer import viewer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORE_NAMES = {
    "target": "Target",
    "method": "Method",
    **{name: metric.heading for name, metric in METRICS.items()},
    "n_voxels": "Voxels scored",
}
"""Key of a score to the heading of its column."""


def visit_page(
    config: Config,
    visit: Visit,
    parts: Sequence[Preparation],
    errors: Sequence[str],
    crash: Crash | None = None,
) -> ParticipantPage:
    """What the page of a visit says: what was made, and what went wrong."""
    outcomes = outcomes_of(parts)
    paragraphs = [text for outcome in outcomes for text in methods(_facts(config, visit, outcome))]
    return ParticipantPage(
        subject=visit.subject,
        session=visit.session,
        acquired=sorted(visit.acquired),
        synthesised=[outcome.target for outcome in outcomes],
        test_only=config.prep.sloppy,
        summary=_summary(parts),
        sections=[section for part in parts for section in _sections(visit, part)],
        viewers={
            f"Scroll through source and synthesised {outcome.target.full_name}": viewer_file(visit, outcome)
            for outcome in outcomes
        },
        scores=[_named(row) for outcome in outcomes for row in outcome.scores],
        warnings=list(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        errors=errors,
        crash=crash,
        methods=list(dict.fromkeys(paragraphs)),
        references=references(paragraphs),
        settings=dict(flat(settings(config))),
        versions=software_versions(),
    )


def viewer_file(visit: Visit, outcome: Outcome) -> str:
    """Path of the viewer of a target, relative to the page."""
    stem = visit.label.replace("/", "_")
    return f"{visit.label}/figures/{stem}_desc-viewer_{outcome.target.mean_suffix}.html"


def visit_viewer(outcome: Outcome) -> str:
    """The viewer of a target as HTML."""
    made, mask = outcome.synthesised.volume, outcome.prepared.model_mask
    return viewer(outcome.relative_source, made, mask, outcome.target)


def outcomes_of(parts: Sequence[Preparation]) -> list[Outcome]:
    """Those that came to a synthesis."""
    return [part for part in parts if isinstance(part, Outcome)]


def _sections(visit: Visit, part: Preparation) -> Iterator[Section]:
    """Every figure, in the order in which the page shows them."""
    yield from _source_sections(visit, part)
    if isinstance(part, Outcome):
        yield from _outcome_sections(visit, part)


def _source_sections(visit: Visit, part: Preparation) -> Iterator[Section]:
    """What was acquired and prepared."""
    modality, prepared, relative = part.source, part.prepared, part.relative_source
    source = modality.full_name
    yield _section(
        visit,
        modality,
        "mask",
        f"Brain mask of the acquired {source}",
        "The outline should follow the brain; the mean is shown on its own grid.",
        overlay(prepared.reference, prepared.mask, title=f"Acquired {source}, brain mask"),
    )
    yield _section(
        visit,
        modality,
        "registration",
        f"Alignment of the acquired {source} to the atlas",
        "Edges of the template over the source after the affine registration: the outlines should agree; "
        "larger ventricles and wider sulci may remain, for the affine does not remove atrophy.",
        overlay(relative, template(), title="Source, template edges", kind="edges"),
    )
    yield _section(
        visit,
        modality,
        "source",
        f"Source: acquired {source}",
        "What the model saw, in units of the brain's median.",
        mosaic(relative, title=f"Acquired {source}", synthetic=False, mask=prepared.model_mask),
    )


def _section(
    visit: Visit,
    shown: Modality,
    desc: str,
    title: str,
    caption: str,
    figure: Figure,
    *,
    synthetic: bool = False,
) -> Section:
    stem = visit.label.replace("/", "_")
    file = f"{visit.label}/figures/{stem}_desc-{desc}_{shown.mean_suffix}.svg"
    return Section(title, file, to_svg(figure), caption, synthetic=synthetic)


def _outcome_sections(visit: Visit, outcome: Outcome) -> Iterator[Section]:
    target, prepared, made = outcome.target, outcome.prepared, outcome.synthesised
    mask = prepared.model_mask
    section = partial(_section, visit, target, synthetic=True)
    yield section(
        "synth",
        f"Synthesised {target.full_name}",
        "Computed, not acquired; in units of the brain's median.",
        mosaic(made.volume, title=f"Synthesised {target.full_name}", synthetic=True, mask=mask),
    )
    inside = mask.data > 0
    intensities = {f"acquired {target.other.full_name}": outcome.relative_source.data[inside]}
    intensities[f"SYNTHETIC {target.full_name}"] = made.volume.data[inside]
    yield section(
        "histogram",
        "Histograms of the brain",
        "In units of the brain's median. The two modalities differ in contrast; a synthesised volume with a "
        "single narrow peak, or with many voxels at 0 or 2, has failed.",
        histograms(intensities, title="Intensities inside the brain mask"),
    )
    if outcome.reference:
        rows = [
            Row(f"acquired {target.full_name}", outcome.reference.volume, synthetic=False),
            Row(f"synthesised {target.full_name}", made.volume, synthetic=True),
        ]
        yield section(
            "evaluation",
            f"Acquired and synthesised {target.full_name}",
            "Above the acquired volume, which the synthesis never saw; below the synthesised one.",
            comparison(rows, title=f"{target.full_name}: acquired, synthesised", mask=outcome.reference.mask),
        )
    yield section(
        "synthstd",
        f"Uncertainty of the synthesised {target.full_name}",
        f"Standard deviation of the error that the model expects, in the same units: {CALIBRATION}.",
        mosaic(
            made.sd,
            title="Expected error (sd)",
            synthetic=True,
            mask=mask,
            cmap="magma",
            label="sd, units of the brain's median",
        ),
    )


def _summary(parts: Sequence[Preparation]) -> dict[str, dict[str, Any]]:
    """Facts and quality of each source, in a section of its own."""
    return {f"Acquired {part.source.full_name}": _told_of(part) for part in parts}


def _told_of(part: Preparation) -> dict[str, Any]:
    facts = part.prepared.facts
    reused = facts.get("reused_from")
    rows: dict[str, Any] = {
        "Volumes averaged": f"reference of {reused}"
        if reused
        else f"{facts['n_used']} of {facts['n_volumes']}",
        "T1w image": _use_of_t1w(part),
    }
    for name, value in part.measures.items():
        rows[MEASURES[name].heading] = MEASURES[name].form.format(value)
    if isinstance(part, Outcome):
        record = part.synthesised.record
        rows["Model"] = f"{record.model} {record.model_version} ({record.weights_sha256[:12]})"
    return rows


def _use_of_t1w(part: Preparation) -> str:
    if isinstance(part, Outcome) and part.synthesised.record.t1w_context:
        return "used for the alignment and shown to the model"
    return "used for the alignment" if part.prepared.alignment.through_t1w else "not used"


def _named(score: Score) -> dict[str, Any]:
    """A score under the headings of the page."""
    shown = score | {"target": Modality(str(score["target"])).full_name}
    return {heading: shown[key] for key, heading in SCORE_NAMES.items()}


def _facts(config: Config, visit: Visit, outcome: Outcome) -> MethodFacts:
    record, versions = outcome.synthesised.record, software_versions()
    return MethodFacts(
        app_version=versions["pds-bids"],
        source=record.source,
        target=record.target,
        n_volumes=outcome.prepared.facts["n_used"],
        through_t1w=outcome.prepared.alignment.through_t1w,
        t1w_context=record.t1w_context,
        native="native" in config.output.spaces,
        nonlinear=ATLAS_SPACE in config.output.spaces,
        model=record.model,
        model_version=record.model_version,
        weights_sha256=record.weights_sha256,
        num_samples=record.num_samples,
        steps=record.steps,
        seed=record.seed,
        sloppy=config.prep.sloppy,
        evaluated=record.target in visit.acquired,
        reused_from=outcome.prepared.facts.get("reused_from"),
        versions=versions,
    )
