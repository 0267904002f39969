"""`pds-model`: the laboratory. Demo, training, evaluation and model card, none of which needs a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from pds_bids import __version__
from pds_bids.app.experiments.sizes import FULL
from pds_bids.cli.entry import exit_with
from pds_bids.cli.experiment import Command, experiment, in_setting
from pds_bids.cli.options import BidsAppCommand, Folder, SpaceSeparated
from pds_bids.cli.options import device_option as _device
from pds_bids.cli.options import seed_option as _seed
from pds_bids.cli.resources import available_cpus, default_threads
from pds_bids.core.config import SynthesisConfig

_Folder = Folder()
_ExistingFolder = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_File = click.Path(dir_okay=False, resolve_path=True, path_type=Path)

_split = click.option(
    "--split",
    type=_File,
    help="Table of participant_id and split: train, calibration or test.  [default: drawn by --seed]",
)
_work = click.option(
    "--work",
    type=_Folder,
    metavar="DIR",
    help="Keep people and scores here: run again, only the rest is made.",
)


def _derivatives(text: str) -> Callable[[Command], Command]:
    return click.option("--from-derivatives", "derivatives", type=_ExistingFolder, help=text)


def _words(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """`a,b` is the same as `a b`."""
    return tuple(word for value in values for word in value.split(","))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="pds-model", message="%(prog)s %(version)s")
def pds_model() -> None:
    """Simulate, train, evaluate and describe the networks of pds-bids."""


pds_model.add_command(experiment)


@pds_model.command()
@click.argument("directory", metavar="DIR", type=_Folder)
@_seed
@click.option(
    "--omp-nthreads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads.  [default: CPUs of this job, at most 8]",
)
def demo(directory: Path, seed: int, omp_nthreads: int | None) -> int:
    """Simulate a small cohort in DIR, process it, and print the path of the report."""
    from pds_bids.app import demo

    return demo.run(directory, seed, omp_nthreads or default_threads(nprocs=1))


@pds_model.command(cls=BidsAppCommand)
@click.argument("out", metavar="OUT", type=_Folder)
@click.option(
    "--n-subjects", type=click.IntRange(min=1), metavar="N", default=12, help="Subjects of the study."
)
@click.option(
    "--label-maps",
    type=_ExistingFolder,
    help="Folder of FreeSurfer-style label maps that subjects take in turn.  [default: the ICBM template]",
)
@click.option(
    "--sites",
    cls=SpaceSeparated,
    callback=_words,
    metavar="NAME",
    default=("oasis", "adni"),
    help="Sites: oasis, adni, ppmi, hospital.",
)
@click.option("--sessions", type=click.IntRange(min=1), metavar="N", default=1, help="Visits, a year apart.")
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
@_seed
@click.option("--nprocs", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: all CPUs]")
@_device
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
@click.option(
    "--label-maps",
    type=_ExistingFolder,
    help="Simulate pairs from this folder of FreeSurfer-style label maps.",
)
@_derivatives("Or take pairs from this output of `pds-bids ... --evaluate --output-spaces model`.")
@_split
@click.option("--out", type=_File, required=True, help="Checkpoint to write (.safetensors).")
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
    "--tensorboard", type=_Folder, metavar="DIR", help="Log losses and sample images for TensorBoard in DIR."
)
@_device
@_seed
def train(resume: bool, **order: Any) -> int:
    """Train networks as PRESET says: the name of a bundled one, or a TOML file.

    For several GPUs: torchrun --nproc-per-node N -m pds_bids.cli.model train ...
    """
    from pds_bids.app import training
    from pds_bids.app.trainingorder import Order

    return training.run(Order(**order, restart=not resume))


@pds_model.command(cls=BidsAppCommand)
@click.option(
    "--label-maps",
    type=_ExistingFolder,
    help="Simulate people from those of this folder of FreeSurfer-style label maps that MODEL has not seen.",
)
@_derivatives("Or take people from this output of `pds-bids ... --evaluate --output-spaces model`.")
@_split
@click.option("--out", type=_File, required=True, help="Table to write (.tsv).")
@_work
@click.option(
    "--model", default=SynthesisConfig.model, metavar="NAME|PATH", help="Bundled weights, or a checkpoint."
)
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
@click.option(
    "--n-fit",
    type=click.IntRange(min=0),
    metavar="N",
    default=60,
    help="Training pairs that the linear and the matched baseline are fitted to; 0 leaves these out.",
)
@click.option(
    "--n-subjects",
    type=click.IntRange(min=1),
    metavar="N",
    default=FULL["evaluate"],
    help="Simulated subjects to score.",
)
@_device
@_seed
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
@click.option("--out", type=_File, required=True, help="Page to write (.html).")
def report(results: tuple[Path, ...], out: Path) -> int:
    """Show what evaluations and experiments found, by the JSON of each, on one page."""
    from pds_bids.app import evaluationpage

    return evaluationpage.run(results, out)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-model`."""
    exit_with(pds_model, "pds-model", args)


if __name__ == "__main__":  # torchrun -m
    main()
