"""`--preproc-only`: what was acquired, prepared and registered, without a synthesis."""

from __future__ import annotations

from pds_bids.app.outcome import Preparation
from pds_bids.app.outputs import TEST_WARNING, VisitWriter
from pds_bids.app.plan import VisitPlan
from pds_bids.core.config import Config
from pds_bids.core.modality import Modality
from pds_bids.prep.intensity import IntensityScale
from pds_bids.prep.source import Prepared


def write_preparation(config: Config, plan: VisitPlan, source: Modality, prepared: Prepared) -> Preparation:
    """Write a prepared source in every space, with its mask and transforms."""
    series = plan.usable(source)
    warnings = [TEST_WARNING] if config.prep.sloppy else []
    warnings += [*series.notes, *prepared.warnings]
    writer = VisitWriter(config, plan.visit, series, plan.t1w_for(source), prepared, tuple(warnings))
    writer.write_source()
    relative = IntensityScale.fit(prepared.model, prepared.model_mask).relative(prepared.model)
    return Preparation(source, prepared, relative, tuple(warnings), tuple(writer.written))
