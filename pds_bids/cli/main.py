"""`pds-bids BIDS_DIR OUTPUT_DIR {participant|group}`: turns the command line into a `Config` for `app`."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from pds_bids import __version__
from pds_bids.cli.entry import exit_with
from pds_bids.cli.options import BidsAppCommand, Device, Folder, Label, SpaceSeparated
from pds_bids.cli.resources import default_threads
from pds_bids.core.config import Config, OutputConfig, PrepConfig, Selection, SynthesisConfig
from pds_bids.core.errors import CannotWriteError, UsageError
from pds_bids.core.modality import Modality

TARGETS = {"auto": tuple(Modality)} | {modality.datatype: (modality,) for modality in Modality}
SPACES = (*OutputConfig.spaces, "model")
FORMATS = ("table", "list", "json")
SLOPPY_STEPS = 1

_Count = click.IntRange(min=1)


@click.command(
    cls=BidsAppCommand, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.argument("bids_dir", type=Folder())
@click.argument("output_dir", type=Folder())
@click.argument("analysis_level", type=click.Choice(["participant", "group"]))
@click.option(
    "--participant-label",
    "--participant_label",
    "participants",
    cls=SpaceSeparated,
    type=Label("sub"),
    help="Participants to process, `sub-` optional.  [default: all]",
)
@click.option(
    "--session-label",
    "--session-id",
    "sessions",
    cls=SpaceSeparated,
    type=Label("ses"),
    help="Sessions to process, `ses-` optional; each is handled on its own.  [default: all]",
)
@click.option(
    "-t",
    "--task-id",
    "task",
    type=Label("task"),
    help="BOLD task to start from.  [default: rest if present, else the only one]",
)
@click.option(
    "--skip-bids-validation",
    is_flag=True,
    expose_value=False,
    help="Accepted as by other BIDS Apps; no validator is run in any case.",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    default="auto",
    help="What to synthesise; auto: what is missing.",
)
@click.option(
    "--evaluate",
    is_flag=True,
    help="Also synthesise what was acquired, and score it against the real volume.",
)
@click.option(
    "--model", default=SynthesisConfig.model, metavar="NAME|PATH", help="Bundled weights, or a checkpoint."
)
@click.option(
    "--num-samples",
    type=click.IntRange(min=0),
    metavar="N",
    default=SynthesisConfig.num_samples,
    help="Draws to average; 0: the point estimate alone.",
)
@click.option(
    "--sampling-steps",
    type=_Count,
    metavar="N",
    help=f"Steps of each draw.  [default: {SynthesisConfig.steps}, with --sloppy {SLOPPY_STEPS}]",
)
@click.option(
    "--random-seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=SynthesisConfig.seed,
    help="Seed of every random choice.",
)
@click.option(
    "--device",
    type=Device(),
    metavar="NAME",
    default=SynthesisConfig.device,
    help="auto, cpu, cuda or cuda:N; auto falls back to the CPU.",
)
@click.option(
    "--nprocs", type=_Count, metavar="N", default=OutputConfig.nprocs, help="Participants processed at once."
)
@click.option(
    "--omp-nthreads",
    type=_Count,
    metavar="N",
    help="Threads of each; 1 makes runs bit-identical.  [default: CPUs of this job / nprocs, at most 8]",
)
@click.option(
    "--output-spaces",
    cls=SpaceSeparated,
    type=click.Choice(SPACES),
    default=OutputConfig.spaces,
    help="Grids to write the synthesised volume on.",
)
@click.option(
    "--sloppy", is_flag=True, help="Coarse registration and one step: marks every output as a test."
)
@click.option(
    "-w", "--work-dir", type=Folder(), help="Folder for intermediate files.  [default: one under $TMPDIR]"
)
@click.option("--overwrite", is_flag=True, help="Do finished participants again.")
@click.option("--stop-on-first-crash", is_flag=True, help="End at the first participant that fails.")
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
    config = build_config(**options)
    if analysis_level == "group":
        require_whole_group(config.selection, dry_run)
        from pds_bids.app import group

        return group.run(config)
    from pds_bids.app import participant

    if not dry_run:
        return participant.run(config)
    plan = participant.dry_run(config, layout or "table")
    click.echo(plan or "nothing to do", err=not plan)
    return 0


def build_config(
    *,
    bids_dir: Path,
    output_dir: Path,
    work_dir: Path | None,
    participants: tuple[str, ...],
    sessions: tuple[str, ...],
    task: str | None,
    target: str,
    evaluate: bool,
    model: str,
    num_samples: int,
    sampling_steps: int | None,
    random_seed: int,
    device: str,
    nprocs: int,
    omp_nthreads: int | None,
    output_spaces: tuple[str, ...],
    sloppy: bool,
    overwrite: bool,
    stop_on_first_crash: bool,
) -> Config:
    """Everything the command line says, with defaults that depend on the machine or on other options.

    Raises
    ------
    UsageError
        If a folder stands where it could change the input.
    CannotWriteError
        If no work folder was given and there is no place for one.
    """
    work_dir = work_dir or default_work_dir(output_dir)
    require_input_untouched(bids_dir, output_dir, work_dir)
    threads = omp_nthreads or default_threads(nprocs)
    steps = sampling_steps or (SLOPPY_STEPS if sloppy else SynthesisConfig.steps)
    return Config(
        bids_dir=bids_dir,
        output_dir=output_dir,
        work_dir=work_dir,
        selection=Selection(participants, sessions, task, TARGETS[target], evaluate),
        prep=PrepConfig(threads, random_seed, sloppy),
        synthesis=SynthesisConfig(model, num_samples, steps, random_seed, device, threads),
        output=OutputConfig(output_spaces, overwrite, stop_on_first_crash, nprocs),
    )


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
    return temporary / f"pds-bids-{os.getuid()}-{hashlib.sha256(bytes(output_dir)).hexdigest()[:8]}"


def require_input_untouched(bids_dir: Path, output_dir: Path, work_dir: Path) -> None:
    """Refuse folders whose use would write into the dataset; all three are absolute.

    Raises
    ------
    UsageError
        If OUTPUT_DIR is in BIDS_DIR but not in its `derivatives`, or the work folder is in BIDS_DIR.
    """
    if output_dir.is_relative_to(bids_dir) and not output_dir.is_relative_to(bids_dir / "derivatives"):
        raise UsageError(
            f"{output_dir}: OUTPUT_DIR would change BIDS_DIR; use another folder, or one in derivatives/"
        )
    if work_dir.is_relative_to(bids_dir):
        raise UsageError(f"{work_dir}: the work folder would change BIDS_DIR; give --work-dir another folder")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-bids`."""
    exit_with(command, "pds-bids", args)
