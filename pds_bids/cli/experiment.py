"""`pds-model experiment`: what the networks are good for, beyond how close their volumes come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pds_bids.cli.options import Folder, device_option, seed_option
from pds_bids.core.config import SynthesisConfig

Command = Callable[..., int]

_ExistingFolder = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_File = click.Path(dir_okay=False, resolve_path=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def experiment() -> None:
    """Put a model to the test; every experiment writes one JSON of numbers and findings.

    Run again with the same options, it makes only what is missing from --work.
    """


def in_setting(n_subjects: int) -> Callable[[Command], Command]:
    """Add the options that `Setting` is made of.

    Parameters
    ----------
    n_subjects
        Default of --n-subjects.
    """
    options = [
        click.option(
            "--label-maps",
            type=_ExistingFolder,
            help="Folder of FreeSurfer-style label maps; people are simulated from those MODEL has not seen.",
        ),
        click.option("--out", type=_File, required=True, help="Numbers and findings to write (.json)."),
        click.option(
            "--model",
            default=SynthesisConfig.model,
            metavar="NAME|PATH",
            help="Bundled weights, or a checkpoint.",
        ),
        click.option(
            "--n-subjects",
            type=click.IntRange(min=1),
            metavar="N",
            default=n_subjects,
            help="Simulated people to test on.",
        ),
        click.option(
            "--work",
            type=Folder(),
            metavar="DIR",
            help="Where simulated people and results of each are kept.  [default: beside OUT]",
        ),
        seed_option,
        device_option,
    ]

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@experiment.command()
@in_setting(n_subjects=90)
@click.option(
    "--from-derivatives",
    "derivatives",
    type=_ExistingFolder,
    help="Test on this output of `pds-bids ... --evaluate --output-spaces model`, not on simulated people.",
)
@click.option(
    "--label-column",
    metavar="NAME",
    default="diagnosis",
    help="Column of participants.tsv to be told from the volumes.",
)
def diagnosis(derivatives: Path | None, label_column: str, **setting: Any) -> int:
    """Tell diagnoses from acquired and synthesised volumes, to see whether synthesis adds anything."""
    from pds_bids.app.experiments import diagnosis
    from pds_bids.app.experiments.setting import Setting

    return diagnosis.run(diagnosis.Plan(derivatives, label_column), Setting(**setting))
