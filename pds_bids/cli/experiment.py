"""`pds-model experiment`: what the networks are good for, beyond how close their volumes come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pds_bids.app.experiments.sizes import FULL
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


label_maps_option = click.option(
    "--label-maps",
    type=_ExistingFolder,
    help="Folder of FreeSurfer-style label maps; people are simulated from those MODEL has not seen.",
)
model_option = click.option(
    "--model", default=SynthesisConfig.model, metavar="NAME|PATH", help="Bundled weights, or a checkpoint."
)
_work = click.option(
    "--work",
    type=Folder(),
    metavar="DIR",
    help="Where simulated people and results of each are kept.  [default: beside OUT]",
)


def in_setting(n_subjects: int | None) -> Callable[[Command], Command]:
    """Add the options that `Setting` is made of.

    Parameters
    ----------
    n_subjects
        Default of --n-subjects; None for an experiment that simulates nobody.
    """
    simulated = [
        label_maps_option,
        click.option(
            "--n-subjects",
            type=click.IntRange(min=1),
            metavar="N",
            default=n_subjects,
            help="Simulated people to test on.",
        ),
    ]
    options = [
        click.option("--out", type=_File, required=True, help="Numbers and findings to write (.json)."),
        model_option,
        _work,
        seed_option,
        device_option,
    ]

    def decorate(command: Command) -> Command:
        for option in reversed([*(simulated if n_subjects else []), *options]):
            command = option(command)
        return command

    return decorate


@experiment.command()
@in_setting(FULL["diagnosis"])
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


@experiment.command()
@in_setting(FULL["pattern"])
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", default=3, help="Runs of each mode that draws."
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    help="Also train the denoiser for so many steps with the loss of each mode.",
)
@click.option(
    "--n-fit",
    type=click.IntRange(min=1),
    metavar="N",
    default=24,
    help="People simulated from training maps for these steps.",
)
def pattern(seeds: int, steps: int, n_fit: int, **setting: Any) -> int:
    """Exchange the pattern of disease that the networks are told, to see whether it matters."""
    from pds_bids.app.experiments import pattern
    from pds_bids.app.experiments.setting import Setting

    return pattern.run(pattern.Plan(seeds, steps, n_fit), Setting(**setting))


@experiment.command()
@in_setting(FULL["sites"])
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    default=40,
    help="Of adapting the refiner to one site.",
)
@click.option(
    "--n-fit",
    type=click.IntRange(min=1),
    metavar="N",
    default=12,
    help="People simulated from training maps to adapt to each site.",
)
def sites(steps: int, n_fit: int, **setting: Any) -> int:
    """Adapt to each of four simulated sites, and test at all of them."""
    from pds_bids.app.experiments import sites
    from pds_bids.app.experiments.setting import Setting

    return sites.run(sites.Plan(steps, n_fit), Setting(**setting))


@experiment.command()
@in_setting(FULL["trust"])
@click.option(
    "--n-challenged",
    type=click.IntRange(min=1),
    metavar="N",
    default=12,
    help="Of these people, those also scanned with lesions, artefacts and unusual protocols.",
)
@click.option(
    "--training-bank",
    type=_ExistingFolder,
    help="Pairs that MODEL was trained on.  [default: some of them, simulated again]",
)
def trust(n_challenged: int, training_bank: Path | None, **setting: Any) -> int:
    """Uncertainty, unusual sources, hallucination, memorisation, misaligned references."""
    from pds_bids.app.experiments import trust
    from pds_bids.app.experiments.setting import Setting

    return trust.run(trust.Plan(n_challenged, training_bank), Setting(**setting))


@experiment.command()
@click.argument("bids_dir", metavar="BIDS_DIR", type=_ExistingFolder)
@in_setting(None)
def temporal(bids_dir: Path, **setting: Any) -> int:
    """Synthesise from parts of the series of a BIDS dataset, to see how many volumes are enough."""
    from pds_bids.app.experiments import temporal
    from pds_bids.app.experiments.setting import Setting

    return temporal.run(temporal.Plan(bids_dir), Setting(**setting))


@experiment.command("all")
@click.argument("folder", metavar="DIR", type=Folder())
@label_maps_option
@click.option(
    "--bids-dir",
    type=_ExistingFolder,
    help="Dataset with real series, for the experiment on them.  [default: leave it out]",
)
@click.option(
    "--quick", is_flag=True, help="On a few people and with few steps, to see that everything runs."
)
@model_option
@_work
@seed_option
@device_option
def everything(folder: Path, bids_dir: Path | None, quick: bool, **setting: Any) -> int:
    """Do all of them, `pds-model evaluate` and the sampling study, into DIR, with one page of it all."""
    from pds_bids.app.experiments import suite
    from pds_bids.app.experiments.setting import Setting

    return suite.run(suite.Plan(bids_dir, quick), folder, Setting(folder / "all.json", **setting))
