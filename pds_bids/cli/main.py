"""`pds-bids BIDS_DIR OUTPUT_DIR {participant|group}`: turns the command line into a `Config` for `app`."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from pds_bids import __version__
from pds_bids.cli import bidsapp
from pds_bids.cli.bidsapp import SLOPPY_STEPS
from pds_bids.cli.configfile import read_defaults
from pds_bids.cli.entry import exit_with
from pds_bids.cli.lists import TYPED, BidsAppCommand
from pds_bids.cli.options import Folder
from pds_bids.cli.resources import PARTICIPANT_MB, available_memory_mb, default_threads
from pds_bids.core.config import (
    Config,
    OutputConfig,
    PrepConfig,
    RunConfig,
    Selection,
    SynthesisConfig,
)
from pds_bids.core.errors import CannotWriteError, UsageError

FORMATS = ("table", "list", "json")

SECTIONS = {
    "selection": Selection,
    "prep": PrepConfig,
    "synthesis": SynthesisConfig,
    "output": OutputConfig,
    "run": RunConfig,
}

logger = logging.getLogger(__name__)


@click.command(
    cls=BidsAppCommand, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.argument("bids_dir", type=Folder())
@click.argument("output_dir", type=Folder())
@click.argument("analysis_level", type=click.Choice(["participant", "group"]))
@bidsapp.selection
@bidsapp.synthesis
@bidsapp.resources
@bidsapp.run
@click.option(
    "--config-file",
    type=click.Path(dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_defaults,
    help="Settings of an earlier run (its pds-bids.toml); what else is given here wins.",
)
@click.option("--dry-run", is_flag=True, help="Print who has and misses what, and write nothing.")
@click.option("--format", "layout", type=click.Choice(FORMATS), help="Of --dry-run.  [default: table]")
@click.option("-v", "--verbose", count=True, help="Say more; twice: everything.", show_default=False)
@click.version_option(__version__, prog_name="pds-bids", message="%(prog)s %(version)s")
def command(
    analysis_level: str,
    dry_run: bool,
    layout: Literal["table", "list", "json"] | None,
    verbose: int,
    **options: Any,
) -> int:
    """Synthesise a subject's missing mean fMRI or dMRI volume from the one that was acquired.

    BIDS_DIR is read and never changed; derivatives and reports go to OUTPUT_DIR. Research only, never
    diagnosis.

    A list option takes every value up to the next option; before BIDS_DIR, end it with `--`.
    """
    logging.basicConfig(format="%(levelname)s %(message)s")
    logging.getLogger("pds_bids").setLevel(max(logging.DEBUG, logging.WARNING - 10 * verbose))
    if layout and not dry_run:
        raise UsageError("--format says how --dry-run prints; add --dry-run")
    config = replace(build_config(**options), command=click.get_current_context().meta[TYPED])
    if analysis_level == "group":
        require_whole_group(config.selection, dry_run)
        from pds_bids.app import group

        return group.run(config)
    if not dry_run:
        return run_participants(config, work_dir_chosen=options["work_dir"] is not None)
    from pds_bids.app import participant

    plan = participant.dry_run(config, layout or "table")
    click.echo(plan or "nothing to do", err=not plan)
    return 0


def run_participants(config: Config, *, work_dir_chosen: bool) -> int:
    """The participant level."""
    from pds_bids.app import participant, scratch

    with nullcontext() if work_dir_chosen else scratch.own_work_dir(config.work_dir):
        return participant.run(config)


def build_config(*, bids_dir: Path, output_dir: Path, **options: Any) -> Config:
    """Everything the command line says, with defaults that depend on the machine or on other options.

    Parameters
    ----------
    options
        Value of every other option, under the name of the field it fills.

    Raises
    ------
    UsageError
        If a folder stands where it could change the input, or options contradict each other.
    CannotWriteError
        If no work folder was given and there is no place for one.
    """
    work_dir = options["work_dir"] or default_work_dir(output_dir)
    require_input_untouched(bids_dir, output_dir, work_dir, options["database_dir"])
    steps = options["steps"] or (SLOPPY_STEPS if options["sloppy"] else SynthesisConfig.steps)
    if options["save_draws"]:
        require_draws(options["num_samples"], steps)
    nprocs = participants_at_once(options["nprocs"], options["memory_mb"])
    resolved = options | {
        "filters": options["filters"] or {},
        "nprocs": nprocs,
        # Nothing is known here of the CPUs of a cluster's workers.
        "threads": options["threads"] or (1 if options["scheduler"] else default_threads(nprocs)),
        "steps": steps,
    }
    sections = {
        name: kind(**{field.name: resolved[field.name] for field in fields(kind)})
        for name, kind in SECTIONS.items()
    }
    return Config(bids_dir, output_dir, work_dir, **sections)


def require_whole_group(selection: Selection, dry_run: bool) -> None:
    """Refuse options that the group level, which tabulates all of OUTPUT_DIR, would leave unheeded.

    Raises
    ------
    UsageError
        Naming them.
    """
    given = {
        "--dry-run": dry_run,
        "--participant-label": selection.participants,
        "--session-label": selection.sessions,
    }
    if unheeded := ", ".join(name for name, value in given.items() if value):
        raise UsageError(f"group tabulates all that OUTPUT_DIR holds; leave {unheeded} out")


def default_work_dir(output_dir: Path) -> Path:
    """A folder under $TMPDIR that this user's next run with the same output finds again."""
    try:
        temporary = Path(tempfile.gettempdir()).resolve()
    except FileNotFoundError as error:
        raise CannotWriteError("no temporary folder can be written; set TMPDIR or give --work-dir") from error
    # Machines may share a temporary folder, and no locks.
    place = f"{os.uname().nodename}:{output_dir}".encode(errors="surrogateescape")
    return temporary / f"pds-bids-{os.getuid()}-{hashlib.sha256(place).hexdigest()[:8]}"


def require_draws(num_samples: int, steps: int) -> None:
    """Refuse to save draws that are not there, or that are all one: the first step sees no noise.

    Raises
    ------
    UsageError
        Saying what to add.
    """
    if not num_samples:
        raise UsageError("--save-draws: there are none; add --num-samples N")
    if steps == 1:
        raise UsageError("--save-draws: draws of one step are all the same; add --sampling-steps 2 or more")


def participants_at_once(nprocs: int, memory_mb: int | None) -> int:
    """As many as asked for, or as the memory is enough for; a line says so where it is not."""
    available = memory_mb or available_memory_mb()
    fitting = max(1, int(available // PARTICIPANT_MB))
    if fitting < nprocs:
        said = f"{fitting} participants at once" if fitting > 1 else "one participant at a time"
        logger.warning(
            "%s, not %d: %.0f MB of memory, and each takes %d MB", said, nprocs, available, PARTICIPANT_MB
        )
    return min(nprocs, fitting)


def require_input_untouched(bids_dir: Path, output_dir: Path, work_dir: Path, database: Path | None) -> None:
    """Refuse folders whose use would write into the dataset; all are absolute.

    Raises
    ------
    UsageError
        If OUTPUT_DIR is in BIDS_DIR but not in its `derivatives`, or another of them is in BIDS_DIR.
    """
    if output_dir.is_relative_to(bids_dir) and not output_dir.is_relative_to(bids_dir / "derivatives"):
        raise UsageError(
            f"{output_dir}: OUTPUT_DIR would change BIDS_DIR; use another folder, or one in derivatives/"
        )
    if work_dir.is_relative_to(bids_dir):
        raise UsageError(f"{work_dir}: the work folder would change BIDS_DIR; give --work-dir another folder")
    if database and database.is_relative_to(bids_dir):
        raise UsageError(
            f"{database}: the database would change BIDS_DIR; give --bids-database-dir another folder"
        )


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-bids`."""
    exit_with(command, "pds-bids", args)
