"""Options that several commands of `pds-model` take."""

from __future__ import annotations

from pathlib import Path

import click

from pds_bids.cli.options import Decorator, Device, Folder, together
from pds_bids.core.config import SynthesisConfig

EXISTING_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
FILE = click.Path(dir_okay=False, resolve_path=True, path_type=Path)

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, help="Seed of every random choice."
)
device_option = click.option(
    "--device", type=Device(), metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:N."
)
model_option = click.option(
    "--model", default=SynthesisConfig.model, metavar="NAME|PATH", help="Bundled weights, or a checkpoint."
)


def count_option(name: str, text: str, *, default: int | None = None, least: int = 1) -> Decorator:
    """How many of something."""
    return click.option(name, type=click.IntRange(min=least), metavar="N", default=default, help=text)


def out_option(text: str) -> Decorator:
    """The file that the command is run for."""
    return click.option("--out", type=FILE, required=True, help=text)


def work_option(text: str) -> Decorator:
    """The folder that makes a second run quick."""
    return click.option("--work", type=Folder(), metavar="DIR", help=text)


def label_maps_option(text: str) -> Decorator:
    """The anatomies that people are simulated from."""
    return click.option("--label-maps", type=EXISTING_FOLDER, help=text)


def derivatives_option(text: str) -> Decorator:
    """A cohort of one's own, in place of simulated people."""
    return click.option("--from-derivatives", "derivatives", type=EXISTING_FOLDER, help=text)


unseen_maps_option = label_maps_option(
    "Folder of FreeSurfer-style label maps; people are simulated from those MODEL has not seen."
)
kept_work_option = work_option("Where simulated people and results of each are kept.  [default: beside OUT]")


def in_setting(n_subjects: int | None) -> Decorator:
    """Add the options that `app.experiments.setting.Setting` is made of.

    Parameters
    ----------
    n_subjects
        Default of --n-subjects; None for an experiment that simulates nobody.
    """
    people = count_option("--n-subjects", "Simulated people to test on.", default=n_subjects)
    return together(
        *([unseen_maps_option, people] if n_subjects else []),
        out_option("Numbers and findings to write (.json)."),
        model_option,
        kept_work_option,
        seed_option,
        device_option,
    )
