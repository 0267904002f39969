"""One visit of a run: what came of it, recorded where its outputs are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pds_bids.app.memory import import_for_good, release_memory
from pds_bids.app.provenance import SETTINGS, now, settings_toml
from pds_bids.app.scratch import CACHE, REMEDY, remove_leftovers
from pds_bids.app.steps import Steps, Tell, silent, write_usages
from pds_bids.bids.inventory import IDLE_REASONS, Idle, Visit
from pds_bids.bids.lock import visit_lock
from pds_bids.bids.writing import require_writable, write_json, write_text
from pds_bids.core.config import Config, SynthesisConfig
from pds_bids.core.errors import CannotWriteError, NoSourceError, PdsError, TemporaryError, UsageError

if TYPE_CHECKING:
    from pds_bids.synthesis.pipeline import Synthesiser

Load = Callable[[SynthesisConfig], "Synthesiser"]
"""Gives the networks that a configuration names."""

Status = Idle | Literal["complete", "already-complete", "no-source", "failed"]


@dataclass(frozen=True)
class Result:
    """How a visit ended, and when (ISO 8601, UTC): the content of its `status.json`.

    `missing` are the modalities that were not acquired.
    """

    visit: str
    status: Status
    message: str
    seconds: float
    finished: str
    missing: list[str]


def _left_out(visit: Visit) -> Iterator[str]:
    """Files of a visit that a user may think were used."""
    for modality in sorted(visit.unfetched):
        yield f"warning: the {modality.full_name} cannot be read and was not synthesised; run `datalad get`"
    for path in visit.odd:
        yield f"warning: {path} was not used, for its name does not fit; rename it"


def settle(config: Config) -> None:
    """Make sure of the work folder of the machine that this process runs on.

    Raises
    ------
    CannotWriteError
        If it cannot be written.
    """
    require_writable(config.work_dir, REMEDY)
    os.environ.setdefault("MPLCONFIGDIR", str(config.work_dir / CACHE))
    if config.run.clean_work_dir:
        remove_leftovers(config.work_dir)


def record(
    config: Config, visit: Visit, run_id: str, status: Status, message: str, seconds: float = 0.0
) -> Result:
    """Write down how a visit ended.

    What this very run completed before the news of it was lost with a worker is told as it was told then.
    """
    log = log_folder(config, visit, run_id)
    told = log / "status.json"
    if status == "already-complete" and told.is_file():
        return Result(**json.loads(told.read_text(encoding="utf-8")))
    text = "; ".join(filter(None, [message, *_left_out(visit)]))
    missing = [modality.value for modality in sorted(visit.missing)]
    result = Result(visit.label, status, text, round(seconds, 1), now().isoformat(), missing)
    write_json(told, asdict(result))
    write_text(log / SETTINGS, settings_toml(config))
    return result


def log_folder(config: Config, visit: Visit, run_id: str) -> Path:
    """Where a run writes down what it did for a visit."""
    return visit.folder(config.output_dir) / "log" / run_id


def process(
    config: Config, visit: Visit, run_id: str, tell: Tell = silent, load: Load | None = None
) -> Result:
    """One visit; what goes wrong with it ends as a `Result`, except what would go wrong for all.

    `tell` hears of each step; `load` gives the networks, by default those of this process.
    """
    start = time.monotonic()
    steps = Steps(visit.label, tell)
    status, message = _attempt(config, visit, run_id, steps, load)
    if config.run.resource_monitor:
        write_usages(log_folder(config, visit, run_id) / "resources.tsv", steps.usages)
    return record(config, visit, run_id, status, message, time.monotonic() - start)


def _attempt(
    config: Config, visit: Visit, run_id: str, steps: Steps, load: Load | None
) -> tuple[Status, str]:
    import_for_good("bids.layout", "pds_bids.app.visit")
    from pds_bids.app.crashes import record_crash
    from pds_bids.app.plan import plan_visit
    from pds_bids.app.visit import LIBRARIES, expected_steps, load_synthesiser, run_visit

    try:
        synthesiser = (load or load_synthesiser)(config.synthesis)
        plan = plan_visit(config, visit, synthesiser.checkpoint.sha256)
        if not plan.targets:
            return visit.idle, IDLE_REASONS[visit.idle]
        with visit_lock(config.output_dir, visit.subject, visit.session):
            if plan.is_done(config.output_dir) and not config.output.overwrite:
                return "already-complete", ""
            steps.expected = expected_steps(plan, config.run.only)
            import_for_good(*LIBRARIES)
            ending = run_visit(config, plan, synthesiser, run_id, steps)
        return "failed" if ending.refused else "complete", ending.message
    except NoSourceError as error:
        return "no-source", str(error)
    except (CannotWriteError, TemporaryError, UsageError):
        raise
    except PdsError as error:
        return "failed", str(error)
    except MemoryError as error:
        raise TemporaryError(f"{visit.label}: out of memory; lower --nprocs and run again") from error
    except Exception as error:
        return "failed", record_crash(config, visit, log_folder(config, visit, run_id), steps.now, error)
    finally:
        release_memory()
