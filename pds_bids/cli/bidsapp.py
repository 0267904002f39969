"""The options of `pds-bids`, by theme. A parameter is named as the field of the `Config` section it fills."""

from __future__ import annotations

from typing import Any, get_args

import click

from pds_bids.cli.lists import SpaceSeparated
from pds_bids.cli.options import (
    Decorator,
    DerivativeDataset,
    Device,
    FilterFile,
    Folder,
    Label,
    Memory,
    Scheduler,
    Target,
    together,
)
from pds_bids.core.config import OutputConfig, Subset, SynthesisConfig

SPACES = (*OutputConfig.spaces, "model")
SLOPPY_STEPS = 1

_Count = click.IntRange(min=1)


def switch(name: str, *field: str, **attributes: Any) -> Decorator:
    """An option that is on or off; `--no-NAME` takes back what a configuration file says."""
    return click.option(f"--{name}/--no-{name}", *field, default=False, show_default=False, **attributes)


def _by_name(ctx: click.Context, param: click.Parameter, datasets: tuple[tuple[str, Any], ...]) -> Any:
    if len(dict(datasets)) < len(datasets):
        raise click.BadParameter("two datasets have one name; give each its own: NAME=PATH")
    return dict(datasets)


selection = together(
    click.option(
        "--participant-label",
        "--participant_label",
        "participants",
        cls=SpaceSeparated,
        type=Label("sub"),
        help="Participants to process, `sub-` optional.  [default: all]",
    ),
    click.option(
        "--session-label",
        "--session-id",
        "sessions",
        cls=SpaceSeparated,
        type=Label("ses"),
        help="Sessions to process, `ses-` optional; each is handled on its own.  [default: all]",
    ),
    click.option(
        "-t",
        "--task-id",
        "task",
        type=Label("task"),
        help="BOLD task to start from.  [default: rest if present, else the only one]",
    ),
    click.option(
        "--bids-filter-file",
        "filters",
        type=FilterFile(),
        help="JSON file of PyBIDS filters for the kinds of image bold, dwi and t1w.",
    ),
    click.option(
        "--bids-database-dir",
        "database_dir",
        type=Folder(),
        help="Folder of a PyBIDS database, made where it is absent.  [default: index in memory]",
    ),
    click.option(
        "--skip-bids-validation",
        is_flag=True,
        expose_value=False,
        help="Accepted as by other BIDS Apps; no validator is run in any case.",
    ),
    click.option(
        "-d",
        "--derivatives",
        cls=SpaceSeparated,
        type=DerivativeDataset(),
        callback=_by_name,
        help="Outputs of fMRIPrep or QSIPrep whose reference images are used instead of the raw series.",
    ),
    click.option(
        "--target",
        "targets",
        type=Target(),
        default="auto",
        help="What to synthesise; auto: what is missing.",
    ),
    switch("evaluate", help="Also synthesise what was acquired, and score it against the real volume."),
)

synthesis = together(
    click.option(
        "--model",
        default=SynthesisConfig.model,
        metavar="NAME|PATH",
        help="Bundled weights, or a checkpoint.",
    ),
    click.option(
        "--num-samples",
        type=click.IntRange(min=0),
        metavar="N",
        default=SynthesisConfig.num_samples,
        help="Draws to average; 0: the point estimate alone.",
    ),
    switch("save-draws", help="Write every draw, for multiple imputation."),
    click.option(
        "--sampling-steps",
        "steps",
        type=_Count,
        metavar="N",
        help=f"Steps of each draw.  [default: {SynthesisConfig.steps}, with --sloppy {SLOPPY_STEPS}]",
    ),
    click.option(
        "--random-seed",
        "seed",
        type=click.IntRange(min=0),
        metavar="N",
        default=SynthesisConfig.seed,
        help="Seed of every random choice.",
    ),
    click.option(
        "--output-spaces",
        "spaces",
        cls=SpaceSeparated,
        type=click.Choice(SPACES),
        default=OutputConfig.spaces,
        help="Grids to write the synthesised volume on.",
    ),
    switch("sloppy", help="Coarse registration and one step: marks every output as a test."),
    switch("strict-qc", help="Warnings about a scan become that participant's error."),
)

resources = together(
    click.option(
        "--device",
        type=Device(),
        metavar="NAME",
        default=SynthesisConfig.device,
        help="auto, cpu, cuda or cuda:N; auto falls back to the CPU.",
    ),
    click.option(
        "--nprocs",
        type=_Count,
        metavar="N",
        default=OutputConfig.nprocs,
        help="Participants processed at once.",
    ),
    click.option(
        "--omp-nthreads",
        "threads",
        type=_Count,
        metavar="N",
        help="Threads of each; 1 makes runs bit-identical.  [default: CPUs of this job / nprocs, at most 8]",
    ),
    click.option(
        "--mem",
        "memory_mb",
        type=Memory(),
        help="Limits --nprocs, e.g. 8GB; a bare number is MB.  [default: what this job may use]",
    ),
    switch("low-mem", help="Keep the volumes of a series on disk, not in memory."),
    click.option(
        "--scheduler",
        type=Scheduler(),
        metavar="ADDRESS|FILE",
        help="Dask cluster to do the work: address or scheduler file.  [default: this machine]",
    ),
    switch("resource-monitor", help="Record time, CPU and peak memory of every step."),
)

run = together(
    *(
        click.option(
            f"--{part}-only", "only", flag_value=part, type=click.Choice(get_args(Subset)), help=text
        )
        for part, text in {
            "preproc": "Prepare and register what was acquired; synthesise nothing.",
            "reports": "Write the pages of finished participants again, and nothing else.",
            "boilerplate": "Write the methods text of finished participants, and nothing else.",
        }.items()
    ),
    click.option(
        "-w",
        "--work-dir",
        type=Folder(),
        help="Folder for intermediate files.  [default: one under $TMPDIR]",
    ),
    switch("clean-workdir", "clean_work_dir", help="Clear it of what killed runs left there."),
    switch("overwrite", help="Do finished participants again."),
    switch("stop-on-first-crash", help="End at the first participant that fails."),
    click.option(
        "--notrack",
        is_flag=True,
        expose_value=False,
        help="Accepted as by other BIDS Apps; nothing is ever sent anywhere.",
    ),
)
