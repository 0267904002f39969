"""`pds-model experiment pattern`: whether it matters what the networks were told of the pattern of disease.

The pattern acts twice: as maps that the networks are shown, and as weights of the loss that they were trained
with. The maps can be exchanged in use; the loss only in training, of which a few steps are cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.features import Labelled, measured, roi_views, simulated_subjects
from pds_bids.app.experiments.finetuning import fine_tuned
from pds_bids.app.experiments.patternmodes import know, pattern_objective, shown
from pds_bids.app.experiments.people import People
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.app.modelcard import interval_text
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Interval
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.training.pattern_loss import Mode

Views = dict[Modality, dict[str, NDArray[np.floating]]]
"""ROI means as `measured` gives them."""

BASELINE = "learned"
RANDOM = ("shuffled", "shifted", "random")
"""Modes that draw."""


@dataclass(frozen=True)
class Plan:
    """What is exchanged.

    Attributes
    ----------
    seeds
        Of each mode that draws; of every mode where there are steps.
    steps
        Of a short training of the denoiser with the loss of each mode; 0 leaves it out.
    n_fit
        People of the training maps for these steps.
    sites
        Where people are scanned.
    """

    seeds: int = 3
    steps: int = 0
    n_fit: int = 24
    sites: tuple[str, ...] = ("oasis", "adni", "ppmi", "hospital")


def run(plan: Plan, setting: Setting) -> int:
    """Write how ROI errors, and what is told from imputed volumes, change with the pattern.

    Raises
    ------
    UsageError
        If the model knows no pattern, or there are too few people.
    """
    from pds_bids.training.pattern_loss import Mode

    checkpoint = setting.checkpoint()
    if checkpoint.model.pattern is None:
        raise UsageError(f"--model {setting.model}: was trained without a pattern; there is none to exchange")
    people = People.held_out(setting, checkpoint, plan.sites)
    subjects = simulated_subjects(people)
    views = _shown(plan, setting, checkpoint, subjects)
    stages = {"Shown in use": views}
    if plan.steps:
        fitting = People.held_out(setting, checkpoint, plan.sites, "train", plan.n_fit)
        fitting.simulate()
        stages[f"Trained with for {plan.steps} steps"] = {
            mode: [
                _views(setting, subjects, _trained(plan, setting, checkpoint, fitting, mode, seed), "")
                for seed in range(plan.seeds)
            ]
            for mode in get_args(Mode)
        }
    tables = {title: _rows(by_mode, subjects, setting.seed) for title, by_mode in stages.items()}
    result = Result(
        "pattern",
        "Does it matter where the networks are told that disease shows?",
        [sentence for title, rows in tables.items() for sentence in _findings(title, rows)],
        tables,
        [chart for title, rows in tables.items() for chart in _charts(title, rows)],
    )
    write_result(result, plan, setting, checkpoint)
    return 0


def _shown(
    plan: Plan, setting: Setting, checkpoint: Checkpoint, subjects: Labelled
) -> dict[str, list[Views]]:
    from pds_bids.training.pattern_loss import Mode

    assert checkpoint.model.pattern is not None
    found: dict[str, list[Views]] = {}
    for mode in get_args(Mode):
        for seed in range(plan.seeds if mode in RANDOM else 1):
            model = deepcopy(checkpoint.model)
            random = np.random.default_rng(derived_seed(setting.seed, "pattern", mode, seed))
            know(model, shown(checkpoint.model.pattern, mode, random))
            changed = "" if mode == BASELINE else f"-{mode}-{derived_seed(setting.seed, seed)}"
            tuned = replace(checkpoint, model=model)
            found.setdefault(mode, []).append(_views(setting, subjects, tuned, changed))
    return found


def _views(setting: Setting, subjects: Labelled, checkpoint: Checkpoint, changed: str) -> Views:
    from pds_bids.prep.rois import roi_atlas

    what = f"rois-{checkpoint.sha256[:12]}{changed}"
    place = setting.folder / f"{what}-of-{subjects.name}"
    return measured(subjects.pairs, roi_views(checkpoint.model, roi_atlas()), place)


def _trained(
    plan: Plan, setting: Setting, checkpoint: Checkpoint, people: People, mode: Mode, seed: int
) -> Checkpoint:
    """The denoiser after a few steps with the loss of a mode; same people, same order for every mode."""
    seed = derived_seed(setting.seed, "fine-tuning", seed)
    name = f"pattern-{mode}-{plan.steps}-{plan.n_fit}-{seed}-{checkpoint.sha256[:12]}-{people.name}"
    return fine_tuned(
        checkpoint,
        setting.folder / f"{name}.safetensors",
        lambda model: pattern_objective(model, people, mode, plan.steps, seed),
    )


def roi_error(views: Mapping[str, NDArray[np.floating]]) -> NDArray[np.floating]:
    """(n,) mean over the ROIs of the absolute error of the ROI mean, in relative units."""
    error: NDArray[np.floating] = np.nanmean(np.abs(views["synthetic"] - views["target"]), axis=1)
    return error


def _rows(by_mode: Mapping[str, Sequence[Views]], subjects: Labelled, seed: int) -> list[dict[str, Any]]:
    """One a direction and mode: means over its seeds, and what changes from `BASELINE`."""
    from pds_bids.evaluation.comparison import interval
    from pds_bids.evaluation.diagnosis import balanced_accuracy, gain

    rows = []
    for target in Modality:
        errors = {
            mode: np.mean([roi_error(run[target]) for run in runs], axis=0) for mode, runs in by_mode.items()
        }
        told = _told(target, by_mode, subjects, seed)
        for mode, runs in by_mode.items():
            of = (subjects.anatomy, seed)
            rows.append(
                {
                    "target": target.value,
                    "mode": mode,
                    "seeds": len(runs),
                    "roi_error": interval(errors[mode], *of),
                    "roi_error_change": interval(errors[mode] - errors[BASELINE], *of),
                    "accuracy_change": gain(
                        balanced_accuracy, subjects.labels, told[mode], told[BASELINE], *of
                    ),
                }
            )
    return rows


def _told(
    target: Modality, by_mode: Mapping[str, Sequence[Views]], subjects: Labelled, seed: int
) -> dict[str, list[NDArray[np.floating]]]:
    """(n, K) by mode and run: classifiers learn from acquired pairs, and are shown each run's imputations."""
    from pds_bids.evaluation.diagnosis import Arm, out_of_fold

    acquired = by_mode[BASELINE][0][target]
    views = {"both": np.hstack([acquired["source"], acquired["target"]])}
    for mode, runs in by_mode.items():
        for k, run_views in enumerate(runs):
            views[f"{mode} {k}"] = np.hstack([acquired["source"], run_views[target]["synthetic"]])
    arms = {name: Arm("both", name) for name in views if name != "both"}
    try:
        told = out_of_fold(views, arms, subjects.labels, subjects.subject, seed)
    except ValueError as error:
        raise UsageError(f"--n-subjects: {error}; simulate more") from error
    return {mode: [told[f"{mode} {k}"] for k in range(len(runs))] for mode, runs in by_mode.items()}


MEASURES = {"roi_error_change": "ROI error", "accuracy_change": "balanced accuracy"}
"""Columns that findings are about, and what people call them."""


def _findings(title: str, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Per direction and measure: which modes differ from `BASELINE`; that none does, where none does."""
    for target in Modality:
        others = [row for row in rows if row["target"] == target.value and row["mode"] != BASELINE]
        for column, name in MEASURES.items():
            differing = [row for row in others if _excludes_zero(row[column])]
            said = "; ".join(f"{row['mode']} {interval_text(row[column], 4)}" for row in differing)
            largest = max(abs(row[column].mean) for row in others)
            yield (
                f"{title}, {target.full_name}: the change of {name} from the {BASELINE} pattern "
                + (
                    f"excludes zero for {said}."
                    if differing
                    else f"is not told from zero in any mode (no effect; the largest is {largest:.4f})."
                )
            )


def _excludes_zero(difference: Interval) -> bool:
    return difference.low > 0 or difference.high < 0


def _charts(title: str, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for column, name in MEASURES.items():
        yield {
            "kind": "forest",
            "title": f"{title}: {name}",
            "caption": f"Change from the {BASELINE} pattern, mean over seeds, with 95 % intervals.",
            "data": {
                "x_label": f"change of {name}",
                "reference": 0,
                "series": {
                    f"{row['target']}, {row['mode']}": row[column] for row in rows if row["mode"] != BASELINE
                },
            },
        }
