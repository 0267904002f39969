"""`pds-model experiment`: what the networks are good for, beyond how close their volumes come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pds_bids.app.experiments.sizes import FULL
from pds_bids.cli.laboratory import (
    EXISTING_FOLDER,
    count_option,
    derivatives_option,
    device_option,
    in_setting,
    kept_work_option,
    model_option,
    seed_option,
    unseen_maps_option,
)
from pds_bids.cli.options import Folder


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def experiment() -> None:
    """Put a model to the test; every experiment writes one JSON of numbers and findings.

    Run again with the same options, it makes only what is missing from --work.
    """


@experiment.command()
@in_setting(FULL["diagnosis"])
@derivatives_option(
    "Test on this output of `pds-bids ... --evaluate --output-spaces model`, not on simulated people."
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
@count_option("--seeds", "Runs of each mode that draws.", default=3)
@count_option(
    "--steps", "Also train the denoiser for so many steps with the loss of each mode.", default=0, least=0
)
@count_option("--n-fit", "People simulated from training maps for these steps.", default=24)
def pattern(seeds: int, steps: int, n_fit: int, **setting: Any) -> int:
    """Exchange the pattern of disease that the networks are told, to see whether it matters."""
    from pds_bids.app.experiments import pattern
    from pds_bids.app.experiments.setting import Setting

    return pattern.run(pattern.Plan(seeds, steps, n_fit), Setting(**setting))


@experiment.command()
@in_setting(FULL["sites"])
@count_option("--steps", "Of adapting the refiner to one site.", default=40)
@count_option("--n-fit", "People simulated from training maps to adapt to each site.", default=12)
def sites(steps: int, n_fit: int, **setting: Any) -> int:
    """Adapt to each of four simulated sites, and test at all of them."""
    from pds_bids.app.experiments import sites
    from pds_bids.app.experiments.setting import Setting

    return sites.run(sites.Plan(steps, n_fit), Setting(**setting))


@experiment.command()
@in_setting(FULL["trust"])
@count_option(
    "--n-challenged",
    "Of these people, those also scanned with lesions, artefacts and unusual protocols.",
    default=12,
)
@click.option(
    "--training-bank",
    type=EXISTING_FOLDER,
    help="Pairs that MODEL was trained on.  [default: some of them, simulated again]",
)
def trust(n_challenged: int, training_bank: Path | None, **setting: Any) -> int:
    """Uncertainty, unusual sources, hallucination, memorisation, misaligned references."""
    from pds_bids.app.experiments import trust
    from pds_bids.app.experiments.setting import Setting

    return trust.run(trust.Plan(n_challenged, training_bank), Setting(**setting))


@experiment.command()
@click.argument("bids_dir", metavar="BIDS_DIR", type=EXISTING_FOLDER)
@in_setting(None)
def temporal(bids_dir: Path, **setting: Any) -> int:
    """Synthesise from parts of the series of a BIDS dataset, to see how many volumes are enough."""
    from pds_bids.app.experiments import temporal
    from pds_bids.app.experiments.setting import Setting

    return temporal.run(temporal.Plan(bids_dir), Setting(**setting))


@experiment.command("all")
@click.argument("folder", metavar="DIR", type=Folder())
@unseen_maps_option
@click.option(
    "--bids-dir",
    type=EXISTING_FOLDER,
    help="Dataset with real series, for the experiment on them.  [default: leave it out]",
)
@click.option(
    "--quick", is_flag=True, help="On a few people and with few steps, to see that everything runs."
)
@model_option
@kept_work_option
@seed_option
@device_option
def everything(folder: Path, bids_dir: Path | None, quick: bool, **setting: Any) -> int:
    """Do all of them, `pds-model evaluate` and the sampling study, into DIR, with one page of it all."""
    from pds_bids.app.experiments import suite
    from pds_bids.app.experiments.setting import Setting

    return suite.run(suite.Plan(bids_dir, quick), folder, Setting(folder / "all.json", **setting))
