"""`pds-model experiment sites`: what a model that was adapted to one site is worth at another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.baselines import fitted_baselines
from pds_bids.app.experiments.features import Measure, measured
from pds_bids.app.experiments.finetuning import LEARNING_RATE, fine_tuned
from pds_bids.app.experiments.people import People
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.app.methods import KINDS, MAIN, Array, Case, Outputs
from pds_bids.app.modelcard import interval_text
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Pairs, Sample
    from pds_bids.training.stages import RefinerObjective

LIMIT_DB = 2.0
"""A loss above this is flagged."""

LINE = "voxelwise linear"
"""The classic method, which learns a site by heart."""

AS_SHIPPED = "none"
"""Row of the weights before they were adapted."""

Predict = Callable[[Case], Array]
Scores = Mapping[Modality, NDArray[np.floating]]
"""(people, sites) PSNR in dB by target."""


@dataclass(frozen=True)
class Plan:
    """What is adapted.

    Attributes
    ----------
    steps
        Of the refiner, for each site.
    n_fit
        People of the training maps who are scanned at every site.
    sites
        Keys of `SITES`.
    """

    steps: int = 40
    n_fit: int = 12
    sites: tuple[str, ...] = ("oasis", "adni", "ppmi", "hospital")


@dataclass(frozen=True)
class Chosen:
    """Some rows of other pairs."""

    pairs: Pairs
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, rows: list[int]) -> Sample:
        """Those rows."""
        return self.pairs.get([self.rows[row] for row in rows])


def run(plan: Plan, setting: Setting) -> int:
    """Write a matrix for each method and direction: adapted on, by tested at.

    Sources come from the site; what is to be synthesised is the same everywhere.
    """
    checkpoint = setting.checkpoint()
    test = People.held_out(setting, checkpoint, plan.sites, everywhere=True)
    fitting = People.held_out(setting, checkpoint, plan.sites, "train", plan.n_fit, everywhere=True)
    for people in (test, fitting):
        people.simulate()

    def scores(predict: Predict, name: str) -> Scores:
        place = setting.folder / f"psnr-{name}-of-{test.name}"
        found = measured(test, _psnr(predict), place)
        return {target: found[target]["psnr_db"].reshape(-1, len(plan.sites)) for target in Modality}

    by_method: dict[str, dict[str, Scores]] = {
        MAIN: {AS_SHIPPED: scores(_network(checkpoint), checkpoint.sha256[:12])},
        LINE: {},
    }
    for k, site in enumerate(plan.sites):
        pairs = Chosen(fitting, range(k, len(fitting), len(plan.sites)))
        adapted = _adapted(plan, setting, checkpoint, pairs, f"{site}-{fitting.name}")
        by_method[MAIN][site] = scores(_network(adapted), adapted.sha256[:12])
        by_method[LINE][site] = scores(_line(pairs), f"line-{site}-{plan.n_fit}-{fitting.name}")

    rows = [
        row
        for method, by_site in by_method.items()
        for row in _rows(method, by_site, plan.sites, test.anatomy[:: len(plan.sites)], setting.seed)
    ]
    result = Result(
        "sites",
        "Does what was adapted to one site hold at another?",
        [text for method in by_method for text in _findings(method, rows)],
        {"Adapted on, tested at": rows},
        [_chart(method, target, rows, plan.sites) for method in by_method for target in Modality],
    )
    write_result(result, plan, setting, checkpoint)
    return 0


def _psnr(predict: Predict) -> Measure:
    from pds_bids.evaluation.metrics import psnr

    return lambda case: {"psnr_db": np.array(psnr(predict(case), case.truth, case.mask))}


def _network(checkpoint: Checkpoint) -> Predict:
    return lambda case: KINDS["refined"](Outputs(checkpoint.model, case)).volume


def _line(pairs: Pairs) -> Predict:
    """Fitted when first asked for: a rerun that has all scores never does."""
    fitted = fitted_baselines(lambda: pairs)
    return lambda case: fitted(case)[LINE].volume


def _adapted(plan: Plan, setting: Setting, checkpoint: Checkpoint, pairs: Pairs, name: str) -> Checkpoint:
    """The refiner after a few steps on the pairs of one site."""
    seed = derived_seed(setting.seed, "adapt")
    path = setting.folder / f"site-{name}-{plan.steps}-{plan.n_fit}-{seed}-{checkpoint.sha256[:12]}"
    return fine_tuned(
        checkpoint,
        path.with_suffix(".safetensors"),
        lambda model: _objective(model, pairs, plan.steps, seed),
    )


def _objective(model: PdsModel, pairs: Pairs, steps: int, seed: int) -> RefinerObjective:
    from pds_bids.training.feed import Feed
    from pds_bids.training.recipe import StageConfig
    from pds_bids.training.stages import RefinerObjective

    stage = StageConfig(steps=steps, learning_rate=LEARNING_RATE)
    return RefinerObjective(model, Feed(pairs, seed, "refiner", model.templates.device), stage, None)


def _rows(
    method: str, by_site: Mapping[str, Scores], sites: Sequence[str], anatomy: NDArray[np.int64], seed: int
) -> Iterator[dict[str, Any]]:
    """One a direction, site adapted on and site tested at; the loss is against who was adapted there.

    Losses are of the same scans, so that a site that is hard for everybody shows none.
    """
    from pds_bids.evaluation.comparison import interval

    for target in Modality:
        for adapted, scores in by_site.items():
            for k, tested in enumerate(sites):
                loss = interval(by_site[tested][target][:, k] - scores[target][:, k], anatomy, seed)
                assert loss is not None
                yield {
                    "method": method,
                    "target": target.value,
                    "adapted_on": adapted,
                    "tested_at": tested,
                    "n": len(anatomy),
                    "psnr_db": interval(scores[target][:, k], anatomy, seed),
                    "loss_db": loss,
                    "flagged": "yes" if loss.mean > LIMIT_DB else "no",
                }


def _findings(method: str, rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The worst loss of each direction, and how many are flagged."""
    for target in Modality:
        own = [row for row in rows if (row["method"], row["target"]) == (method, target.value)]
        crossed = [row for row in own if row["adapted_on"] not in (row["tested_at"], AS_SHIPPED)]
        worst = max(crossed, key=lambda row: float(row["loss_db"].mean))
        flagged = sum(row["flagged"] == "yes" for row in crossed)
        yield (
            f"{method}, {target.full_name}: {flagged or 'none'} of {len(crossed)} moves to another site "
            f"{'lose' if flagged != 1 else 'loses'} more than {LIMIT_DB:g} dB; the worst, from "
            f"{worst['adapted_on']} to {worst['tested_at']}, loses {interval_text(worst['loss_db'], 2)} dB."
        )


def _chart(
    method: str, target: Modality, rows: Sequence[dict[str, Any]], sites: Sequence[str]
) -> dict[str, Any]:
    cells = {
        (row["adapted_on"], row["tested_at"]): row
        for row in rows
        if (row["method"], row["target"]) == (method, target.value)
    }
    names = list(dict.fromkeys(adapted for adapted, _ in cells))
    return {
        "kind": "matrix",
        "title": f"{method}: {target.full_name}",
        "caption": f"By site adapted on (rows) and tested at; flagged {LIMIT_DB:g} dB below the diagonal.",
        "data": {
            "rows": names,
            "columns": list(sites),
            "values": [[cells[name, site]["psnr_db"].mean for site in sites] for name in names],
            "unit": "dB",
            "flagged": [[cells[name, site]["flagged"] == "yes" for site in sites] for name in names],
        },
    }
