"""`pds-model evaluate`: a checkpoint and its rivals on subjects simulated from held-out anatomies."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pds_bids.app import methods
from pds_bids.app.methods import KINDS, MAIN, MAIN_ROWS, Case, Contestant, Prediction
from pds_bids.app.testbed import maps_of, provenance, refuse_leaks, simulated_people
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Score
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.training.data import PairBank


class Rival(NamedTuple):
    """Another checkpoint, what of it is scored, and the name of its row."""

    row: str
    kind: str
    model: str

    @classmethod
    def parse(cls, text: str) -> Rival:
        """From `ROW[:KIND]=MODEL`; what the app would write is scored where no kind is named.

        Raises
        ------
        UsageError
            If it reads otherwise.

        Examples
        --------
        >>> Rival.parse("U-Net regression:estimate=unet.safetensors")
        Rival(row='U-Net regression', kind='estimate', model='unet.safetensors')
        """
        name, _, model = text.partition("=")
        row, _, kind = name.partition(":")
        rival = cls(row, kind or "refined", model)
        if not row or not model or rival.kind not in KINDS:
            raise UsageError(f"--compare {text}: not ROW[:KIND]=MODEL with a KIND of {', '.join(KINDS)}")
        return rival


@dataclass(frozen=True)
class Plan:
    """What is compared, on how many subjects.

    Attributes
    ----------
    model
        The main method: name of bundled weights, or a checkpoint.
    compare
        Other checkpoints, as `Rival.parse` reads them.
    methods
        Which of `KINDS` the main checkpoint is scored by; the refined estimate always is.
    baselines
        Whether what needs no network is scored, too.
    n_subjects
        Simulated subjects, spread evenly over the held-out anatomies.
    n_fit
        Pairs simulated from training anatomies for the baselines that are fitted; 0 leaves these out.
    """

    model: str = "base"
    compare: tuple[str, ...] = ()
    methods: tuple[str, ...] = tuple(KINDS)
    baselines: bool = True
    n_subjects: int = 24
    n_fit: int = 60
    seed: int = 0

    @property
    def rivals(self) -> list[Rival]:
        """What `compare` says."""
        return [Rival.parse(text) for text in self.compare]

    def check(self) -> None:
        """Meet a mistake before anything is simulated.

        Raises
        ------
        UsageError
            If there is no such kind, or two rows have the same name.
        """
        unknown = [kind for kind in self.methods if kind not in KINDS]
        if unknown:
            raise UsageError(f"--methods {' '.join(unknown)}: choose from {', '.join(KINDS)}")
        taken = set(MAIN_ROWS)
        for rival in self.rivals:
            if rival.row in taken:
                raise UsageError(f"--compare {rival.row}: there is such a row already; give it another name")
            taken.add(rival.row)


def run(plan: Plan, label_maps_dir: Path, out: Path, device: str) -> int:
    """Write a table of means with 95 % confidence intervals, one row a method and direction.

    Parameters
    ----------
    out
        Tab-separated table; every subject's scores go beside it as `*_subjects.tsv`, and all numbers with
        how they were made as `*.json`.

    Raises
    ------
    UsageError
        If the plan contradicts itself, a model has seen the test maps, or `out` is the name of its JSON.
    """
    import torch

    from pds_bids.evaluation.comparison import compare, means_table, subjects_table
    from pds_bids.models.checkpoint import load_checkpoint
    from pds_bids.models.device import resolve_device

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if out.suffix == ".json":
        raise UsageError(f"--out {out}: the table and its {out.name} would be one file; call the table .tsv")
    plan.check()
    where = resolve_device(device)
    names = (plan.model, *(rival.model for rival in plan.rivals))
    checkpoints = {name: load_checkpoint(name) for name in names}
    for checkpoint in checkpoints.values():
        checkpoint.model.to(where)
    test = maps_of(checkpoints[plan.model], "test", label_maps_dir)
    refuse_leaks(checkpoints, set(test))
    with tempfile.TemporaryDirectory(prefix="pds-bids-evaluate-") as folder:
        contestants = list(_contestants(plan, checkpoints, label_maps_dir, Path(folder) / "fit"))
        bank = simulated_people(
            test, plan.n_subjects, Path(folder) / "test", derived_seed(plan.seed, "evaluate")
        )
        start = time.monotonic()
        scores = list(scored(bank, contestants, plan.seed))
        seconds = (time.monotonic() - start) / len(bank)
    rows = compare(scores, MAIN, plan.seed)
    write_text(out.with_name(f"{out.stem}_subjects.tsv"), subjects_table(scores))
    write_text(out, table := means_table(rows))
    settings = asdict(plan) | {"test_maps": list(test), "main": MAIN, "device": where}
    about = provenance(settings, checkpoints) | {"seconds_per_subject": round(seconds, 1)}
    write_json(out.with_suffix(".json"), about | {"rows": rows})
    print(table, end="")
    return 0


def _contestants(
    plan: Plan,
    checkpoints: Mapping[str, Checkpoint],
    label_maps_dir: Path,
    folder: Path,
) -> Iterator[Contestant]:
    """In the order of the table: baselines, rivals, and the main model with the main method last."""
    main = checkpoints[plan.model]
    if plan.baselines:
        yield methods.unfitted_baselines(main.model)
    if plan.baselines and plan.n_fit:
        maps = maps_of(main, "train", label_maps_dir)
        chosen = dict(list(maps.items())[: plan.n_fit])
        yield methods.fitted_baselines(
            simulated_people(chosen, plan.n_fit, folder, derived_seed(plan.seed, "fit"))
        )
    for rival in plan.rivals:
        yield methods.network(checkpoints[rival.model].model, {rival.row: rival.kind})
    rows = {row: kind for row, kind in MAIN_ROWS.items() if kind in plan.methods or row == MAIN}
    yield methods.network(main.model, rows)


def scored(bank: PairBank, contestants: Sequence[Contestant], seed: int) -> Iterator[Score]:
    """Every method on every subject in both directions, one subject in memory at a time."""
    from pds_bids.evaluation.comparison import Score

    for subject in range(len(bank)):
        for index, target in enumerate(Modality):
            case = Case.of(bank, subject, index, derived_seed(seed, "draws", subject, target))
            for contestant in contestants:
                for method, prediction in contestant(case).items():
                    metrics = measured(prediction, case)
                    yield Score(target, method, subject, int(bank.anatomy[subject]), metrics)
        print(f"subject {subject + 1} of {len(bank)}", flush=True)


def measured(prediction: Prediction, case: Case) -> dict[str, float]:
    """Every metric of one prediction: NaN where there is no uncertainty, or the brain lacks a tissue."""
    from pds_bids.evaluation.metrics import coverage, mae, nmi, psnr, sharpness, ssim, whole_psnr
    from pds_bids.evaluation.uncertainty import normal_crps, sparsification

    (volume, sd), truth, mask = prediction, case.truth, case.mask
    places = {"": mask} | {f"_{tissue}": where for tissue, where in case.tissues.items()}
    absent = float("nan")
    return {
        "psnr_db": psnr(volume, truth, mask),
        "psnr_whole_db": whole_psnr(volume, truth, mask),
        "brain_fraction": float(mask.mean()),
        "ssim": ssim(volume, truth, mask),
        "sharpness": sharpness(volume, truth, mask),
        "nmi": nmi(volume, truth, mask),
        **{f"mae{at}": mae(volume, truth, w) if w.any() else absent for at, w in places.items()},
        **{
            f"coverage_90{at}": coverage(volume - truth, sd, w, 0.9) if sd is not None and w.any() else absent
            for at, w in places.items()
        },
        "crps": normal_crps(volume - truth, sd, mask) if sd is not None else absent,
        "ause": sparsification(volume - truth, sd, mask).ause if sd is not None else absent,
    }
