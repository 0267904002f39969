"""The participant level: every visit of the plan, one failure never stopping the others."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, Literal

from pds_bids import __version__
from pds_bids.app.memory import release_memory
from pds_bids.app.provenance import new_run_id, now, settings_toml
from pds_bids.app.runprogress import shown
from pds_bids.app.scratch import remove_leftovers
from pds_bids.app.steps import Steps, Tell, silent, write_usages
from pds_bids.app.workers import workers
from pds_bids.bids.completion import marker_path
from pds_bids.bids.dataset import require_own_folder, write_dataset_files
from pds_bids.bids.inventory import IDLE_REASONS, Idle, Visit, inventory
from pds_bids.bids.plan import PlanFormat, render_plan
from pds_bids.bids.writing import require_writable, write_json, write_text
from pds_bids.core.config import Config, Subset
from pds_bids.core.errors import (
    CannotWriteError,
    NoSourceError,
    NoUsableParticipantError,
    PdsError,
    TemporaryError,
    UsageError,
)
from pds_bids.core.modality import Modality

LISTEN_S = 0.5
"""How often workers are asked for their steps, in seconds."""

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


def dry_run(config: Config, layout: PlanFormat) -> str:
    """Who has and misses what; writes nothing.

    Raises
    ------
    CannotWriteError
        If the output folder is not one for this dataset: what it holds says nothing of who is done.
    """
    require_own_folder(config.output_dir, config.bids_dir)
    visits = inventory(config.bids_dir, config.selection)
    done = [v for v in visits if marker_path(config.output_dir, v.subject, v.session).is_file()]
    return render_plan(visits, config.selection, layout, done=() if config.output.overwrite else done)


def run(config: Config) -> int:
    """Process every selected visit.

    Returns
    -------
    int
        0, or 1 if at least one participant failed.

    Raises
    ------
    NotBidsError, NothingSelectedError
        If there is nothing to run on.
    NoUsableParticipantError
        If no participant has a modality to start from.
    CannotWriteError, TemporaryError
        If the output cannot be written, or a resource ran out.
    """
    visits = inventory(config.bids_dir, config.selection)
    if config.run.only in ("reports", "boilerplate"):
        from pds_bids.app import records

        again = records.render_again if config.run.only == "reports" else records.write_boilerplate
        return again(config, visits)
    run_id = new_run_id()
    _begin(config, run_id)
    results = []
    with shown(len(visits)) as progress:
        for result in _results(config, visits, run_id, progress.step):
            results.append(result)
            line = f"{result.visit}: {result.status} ({result.seconds:.0f} s) {result.message}".rstrip()
            progress.end(result.visit, line, well=result.status not in ("failed", "no-source"))
            if result.status == "failed" and config.output.stop_on_first_crash:
                break
    counts = Counter(result.status for result in results)
    print(", ".join(f"{n} {status}" for status, n in sorted(counts.items())), flush=True)
    if counts["no-source"] == len(visits):
        raise NoUsableParticipantError(
            f"{config.bids_dir}: no selected participant has fMRI or dMRI to start from; see --dry-run"
        )
    return 1 if counts["failed"] else 0


def _begin(config: Config, run_id: str) -> None:
    """Make sure of the folders, and write what belongs to the whole dataset."""
    require_writable(config.output_dir, "choose another output folder")
    require_writable(config.work_dir, "give --work-dir another folder")
    # Its font cache would go to the home, which belongs to the user, and in a container may not be there.
    os.environ.setdefault("MPLCONFIGDIR", str(config.work_dir / "matplotlib"))
    write_dataset_files(config.output_dir, config.bids_dir, __version__, config.selection.derivatives)
    write_text(config.output_dir / "logs" / f"{run_id}.toml", settings_toml(config))
    if config.run.clean_work_dir:
        remove_leftovers(config.work_dir)


def _results(config: Config, visits: list[Visit], run_id: str, tell: Tell) -> Iterator[Result]:
    if config.output.nprocs == 1 or len(visits) == 1:
        for visit in visits:
            yield process(config, visit, run_id, tell)
        return
    # Not a manager's queue: that lives in a server, which an early end would stop before the workers.
    steps = get_context("spawn").SimpleQueue()
    with workers(config.output.nprocs, _tell_by, (steps,)) as pool:
        pending = {pool.submit(_process_and_tell, config, visit, run_id) for visit in visits}
        while pending:
            ended, pending = wait(pending, LISTEN_S, FIRST_COMPLETED)
            while not steps.empty():
                tell(steps.get())
            for job in ended:
                yield job.result()


_queues: list[Any] = []
"""In a worker: the one that its steps are told by."""


def _tell_by(queue: Any) -> None:
    _queues.append(queue)


def _process_and_tell(config: Config, visit: Visit, run_id: str) -> Result:
    return process(config, visit, run_id, _queues[0].put)


def _left_out(visit: Visit) -> Iterator[str]:
    """Files of a visit that a user may think were used."""
    for modality in sorted(visit.unfetched):
        yield f"warning: the {modality.full_name} cannot be read and was not synthesised; run `datalad get`"
    for path in visit.odd:
        yield f"warning: {path} was not used, for its name does not fit; rename it"


def _made(targets: Sequence[Modality], only: Subset | None) -> str:
    if only == "preproc":
        return "prepared " + ", ".join(target.other.full_name for target in targets)
    return "synthesised " + ", ".join(target.full_name for target in targets)


def process(config: Config, visit: Visit, run_id: str, tell: Tell = silent) -> Result:
    """One visit; what goes wrong with it ends as a `Result`, except what would go wrong for all.

    `tell` hears of each step.
    """
    from pds_bids.app.crashes import SETTINGS, record_crash
    from pds_bids.app.plan import plan_visit
    from pds_bids.app.visit import expected_steps, load_synthesiser, run_visit

    start = time.monotonic()
    steps = Steps(visit.label, tell)
    log = visit.folder(config.output_dir) / "log" / run_id

    def ended(status: Status, message: str = "") -> Result:
        text = "; ".join(filter(None, [message, *_left_out(visit)]))
        seconds = round(time.monotonic() - start, 1)
        missing = [modality.value for modality in sorted(visit.missing)]
        result = Result(visit.label, status, text, seconds, now().isoformat(), missing)
        write_json(log / "status.json", asdict(result))
        write_text(log / SETTINGS, settings_toml(config))
        if config.run.resource_monitor:
            write_usages(log / "resources.tsv", steps.usages)
        return result

    try:
        synthesiser = load_synthesiser(config.synthesis)
        plan = plan_visit(config, visit, synthesiser.checkpoint.sha256)
        if not plan.targets:
            return ended(visit.idle, IDLE_REASONS[visit.idle])
        if plan.is_done(config.output_dir) and not config.output.overwrite:
            return ended("already-complete")
        steps.expected = expected_steps(plan, config.run.only)
        warnings = run_visit(config, plan, synthesiser, run_id, steps)
        made = _made(plan.targets, config.run.only)
        return ended("complete", "; ".join([made, *(f"warning: {text}" for text in warnings)]))
    except NoSourceError as error:
        return ended("no-source", str(error))
    except (CannotWriteError, TemporaryError, UsageError):
        raise
    except PdsError as error:
        return ended("failed", str(error))
    except MemoryError as error:
        raise TemporaryError(f"{visit.label}: out of memory; lower --nprocs and run again") from error
    except Exception as error:
        return ended("failed", record_crash(config, visit, log, steps.now, error))
    finally:
        release_memory()
