"""`--preproc-only`: what was acquired, prepared and registered, without a synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pds_bids.app.outputs import TEST_WARNING, VisitWriter
from pds_bids.app.pages import source_sections
from pds_bids.app.plan import VisitPlan
from pds_bids.core.config import Config
from pds_bids.core.modality import Modality
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.source import Prepared
from pds_bids.report.page import Section


@dataclass(frozen=True)
class Preparation:
    """One source of a visit, prepared and written."""

    sections: tuple[Section, ...]
    warnings: tuple[str, ...]
    written: tuple[Path, ...]


def write_preparation(config: Config, plan: VisitPlan, source: Modality, prepared: Prepared) -> Preparation:
    """Write a prepared source in every space, with its mask and transforms."""
    series = plan.usable(source)
    warnings = [TEST_WARNING] if config.prep.sloppy else []
    warnings += [*series.notes, *prepared.warnings]
    writer = VisitWriter(config, plan.visit, series, plan.t1w_for(source), prepared, tuple(warnings))
    writer.write_source()
    relative = IntensityScale.fit(prepared.model, prepared.model_mask).relative(prepared.model)
    sections = source_sections(plan.visit, source, prepared, relative)
    return Preparation(tuple(sections), tuple(warnings), tuple(writer.written))
