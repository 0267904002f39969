"""`pds-model`: the laboratory. Demo, training, evaluation and model card, none of which needs a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from pds_bids import __version__
from pds_bids.app.experiments.sizes import FULL
from pds_bids.cli.entry import exit_with
from pds_bids.cli.experiment import experiment
from pds_bids.cli.laboratory import (
    FILE,
    count_option,
    derivatives_option,
    device_option,
    in_setting,
    label_maps_option,
    model_option,
    out_option,
    seed_option,
    work_option,
)
from pds_bids.cli.lists import BidsAppCommand, SpaceSeparated
from pds_bids.cli.options import Folder
from pds_bids.cli.resources import available_cpus, default_threads
from pds_bids.core.config import SynthesisConfig

_split_option = click.option(
    "--split",
    type=FILE,
    help="Table of participant_id and split: train, calibration or test.  [default: drawn by --seed]",
)


def _words(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """`a,b` is the same as `a b`."""
    return tuple(word for value in values for word in value.split(","))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="pds-model", message="%(prog)s %(version)s")
def pds_model() -> None:
    """Simulate, train, evaluate and describe the networks of pds-bids."""


pds_model.add_command(experiment)


@pds_model.command()
@click.argument("directory", metavar="DIR", type=Folder())
@seed_option
@count_option("--omp-nthreads", "Threads.  [default: CPUs of this job, at most 8]")
def demo(directory: Path, seed: int, omp_nthreads: int | None) -> int:
    """Simulate a small cohort in DIR, process it, and print the path of the report."""
    from pds_bids.app import demo

    return demo.run(directory, seed, omp_nthreads or default_threads(nprocs=1))


@pds_model.command(cls=BidsAppCommand)
@click.argument("out", metavar="OUT", type=Folder())
@count_option("--n-subjects", "Subjects of the study.", default=12)
@label_maps_option(
    "Folder of FreeSurfer-style label maps that subjects take in turn.  [default: the ICBM template]"
)
@click.option(
    "--sites",
    cls=SpaceSeparated,
    callback=_words,
    metavar="NAME",
    default=("oasis", "adni"),
    help="Sites: oasis, adni, ppmi, hospital.",
)
@count_option("--sessions", "Visits, a year apart.", default=1)
@click.option(
    "--missing",
    type=click.FloatRange(0, 1),
    metavar="P",
    default=0.5,
    help="Fraction of the subjects that lack one modality, fMRI and dMRI in turn.",
)
@click.option(
    "--groups",
    cls=SpaceSeparated,
    callback=_words,
    metavar="NAME",
    default=("nc", "mci", "ad"),
    help="Diagnoses: nc, mci, ad.",
)
@click.option(
    "--ages", type=(float, float), metavar="LOW HIGH", default=(60.0, 90.0), help="Ages, from 20 to 90 years."
)
@click.option(
    "--label-noise",
    type=click.FloatRange(0, 1),
    metavar="P",
    default=0.0,
    help="Fraction of the subjects with a wrong diagnosis on record.",
)
@click.option("--no-t1w", is_flag=True, help="Take no T1w images.")
@seed_option
@count_option("--nprocs", "Processes.  [default: all CPUs]")
@device_option
def simulate(
    out: Path,
    label_maps: Path | None,
    no_t1w: bool,
    nprocs: int | None,
    device: str,
    **plan: Any,
) -> int:
    """Simulate a study as a BIDS dataset in OUT, with the truth under OUT/sourcedata/truth."""
    from pds_bids.app import simulation

    study = simulation.Study(**plan)
    processes = nprocs or available_cpus()
    return simulation.run(out, study, label_maps, t1w=not no_t1w, processes=processes, device=device)


@pds_model.command()
@click.argument("model", default=SynthesisConfig.model, metavar="[MODEL]")
def info(model: str) -> None:
    """Print the model card of MODEL: the name of bundled weights, or a checkpoint."""
    from pds_bids.app import modelcard

    click.echo(modelcard.text(model))


@pds_model.command()
@click.argument("preset")
@label_maps_option("Simulate pairs from this folder of FreeSurfer-style label maps.")
@derivatives_option("Or take pairs from this output of `pds-bids ... --evaluate --output-spaces model`.")
@_split_option
@out_option("Checkpoint to write (.safetensors).")
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Time to train for; where PRESET counts steps, stop then, and go on when run again."
    "  [default: 60, or no limit on steps]",
)
@click.option(
    "--resume/--restart",
    default=True,
    help="Go on where an earlier run with the same --out stopped, or begin anew.",
)
@click.option(
    "--tensorboard", type=Folder(), metavar="DIR", help="Log losses and sample images for TensorBoard in DIR."
)
@device_option
@seed_option
def train(resume: bool, **order: Any) -> int:
    """Train networks as PRESET says: the name of a bundled one, or a TOML file.

    For several GPUs: torchrun --nproc-per-node N -m pds_bids.cli.model train ...
    """
    from pds_bids.app import training
    from pds_bids.app.trainingorder import Order

    return training.run(Order(**order, restart=not resume))


@pds_model.command(cls=BidsAppCommand)
@label_maps_option(
    "Simulate people from those of this folder of FreeSurfer-style label maps that MODEL has not seen."
)
@derivatives_option("Or take people from this output of `pds-bids ... --evaluate --output-spaces model`.")
@_split_option
@out_option("Table to write (.tsv).")
@work_option("Keep people and scores here: run again, only the rest is made.")
@model_option
@click.option(
    "--compare",
    multiple=True,
    metavar="ROW[:KIND]=MODEL",
    help="Another checkpoint and the name of its row. KIND as in --methods.  [default KIND: refined]",
)
@click.option(
    "--methods",
    cls=SpaceSeparated,
    callback=_words,
    metavar="KIND",
    default=("estimate", "draw", "draws", "no-t1w", "refined"),
    help="What of MODEL is scored: the one-step estimate, a draw, the mean of draws, the refined estimate "
    "without and with the T1w.",
)
@click.option("--baselines/--no-baselines", default=True, help="Score what needs no network, too.")
@count_option(
    "--n-fit",
    "Training pairs that the linear and the matched baseline are fitted to; 0 leaves these out.",
    default=60,
    least=0,
)
@count_option("--n-subjects", "Simulated subjects to score.", default=FULL["evaluate"])
@device_option
@seed_option
def evaluate(
    label_maps: Path | None,
    derivatives: Path | None,
    split: Path | None,
    out: Path,
    device: str,
    work: Path | None,
    **plan: Any,
) -> int:
    """Score a model and its rivals on people that none of them has seen."""
    from pds_bids.app import evaluation, panel

    origin = panel.Origin(label_maps, derivatives, split)
    return evaluation.run(evaluation.Plan(**plan), origin, out, device, work)


@pds_model.command()
@click.argument("study", default="ablations", metavar="[STUDY]")
@in_setting(FULL["ablate"])
def ablate(study: str, **setting: Any) -> int:
    """Train and score what each part of a recipe is worth, as STUDY says: a bundled one, or a TOML file."""
    from pds_bids.app.experiments import ablation
    from pds_bids.app.experiments.setting import Setting

    return ablation.run(ablation.Plan(study), Setting(**setting))


@pds_model.command()
@click.argument(
    "results",
    metavar="JSON...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
)
@out_option("Page to write (.html).")
def report(results: tuple[Path, ...], out: Path) -> int:
    """Show what evaluations and experiments found, by the JSON of each, on one page."""
    from pds_bids.app import evaluationpage

    return evaluationpage.run(results, out)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-model`."""
    exit_with(pds_model, "pds-model", args)


if __name__ == "__main__":  # torchrun -m
    main()
