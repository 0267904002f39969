"""The participant level: every visit of the plan, one failure never stopping the others."""

from __future__ import annotations

from collections import Counter

from pds_bids import __version__
from pds_bids.app.crew import results
from pds_bids.app.process import settle
from pds_bids.app.provenance import new_run_id, settings_toml
from pds_bids.app.runprogress import shown
from pds_bids.bids.completion import marker_path
from pds_bids.bids.dataset import require_own_folder, write_dataset_files
from pds_bids.bids.inventory import inventory
from pds_bids.bids.plan import PlanFormat, render_plan
from pds_bids.bids.writing import require_writable, write_text
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError


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
    counts: Counter[str] = Counter()
    with shown(len(visits)) as progress:
        for result in results(config, visits, run_id, progress.step):
            counts[result.status] += 1
            line = f"{result.visit}: {result.status} ({result.seconds:.0f} s) {result.message}".rstrip()
            progress.end(result.visit, line, well=result.status not in ("failed", "no-source"))
            if result.status == "failed" and config.output.stop_on_first_crash:
                break
    print(", ".join(f"{n} {status}" for status, n in sorted(counts.items())), flush=True)
    if counts["no-source"] == len(visits):
        raise NoUsableParticipantError(
            f"{config.bids_dir}: no selected participant has fMRI or dMRI to start from; see --dry-run"
        )
    return 1 if counts["failed"] else 0


def _begin(config: Config, run_id: str) -> None:
    """Make sure of the folders, and write what belongs to the whole dataset."""
    require_writable(config.output_dir, "choose another output folder")
    settle(config)
    write_dataset_files(config.output_dir, config.bids_dir, __version__, config.selection.derivatives)
    write_text(config.output_dir / "logs" / f"{run_id}.toml", settings_toml(config))
