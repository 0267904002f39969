"""`pds-model ablate`: what each part of the recipe is worth, in the same people and for the same steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from pds_bids.app import training
from pds_bids.app.experiments.setting import Result, Setting, write_record
from pds_bids.app.experiments.study import Row, load_study
from pds_bids.app.measures import NOMINAL
from pds_bids.app.methods import network
from pds_bids.app.panel import simulated
from pds_bids.app.provenance import fingerprint
from pds_bids.app.scoring import scored
from pds_bids.app.trainingorder import Order
from pds_bids.bids.naming import slug
from pds_bids.bids.writing import write_json, write_text

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Score
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.training.monitor import Look, Report


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes
    ----------
    study
        Name of a bundled study, or a TOML file (see `load_study`).
    """

    study: str = "ablations"


def run(plan: Plan, setting: Setting) -> int:
    """Train what is not trained yet, score every row on the same people, and hold each against the first.

    Rows of the same recipe share a checkpoint, and recipes with the same `[data]` share their pairs. What is
    finished is kept in `setting.folder`: a rerun, or a study with more rows, repeats none of it.
    """
    rows = load_study(plan.study)
    checkpoints = _checkpoints(rows, setting)
    first = checkpoints[rows[0].name]
    sizes = setting.n_subjects, 0
    panel = simulated(first, checkpoints, setting.maps, sizes, setting.seed, setting.folder)
    contestants = {
        fingerprint([checkpoints[row.name].sha256, row.name, row.kind, row.sampling]): network(
            checkpoints[row.name].model, {row.name: row.kind}, row.sampling
        )
        for row in rows
    }
    place = setting.folder / f"scores-{fingerprint([panel.name, setting.seed])}"
    scores = list(scored(panel.test, contestants, setting.seed, place))
    costs = [_cost(row, scores, checkpoints[row.name], setting.folder) for row in rows]
    result = _result(rows, scores, costs, setting.seed)
    by_name = {checkpoint.name: checkpoint for checkpoint in checkpoints.values()}
    write_record(
        result, {"study": Path(plan.study).stem, "model": list(by_name), **panel.about}, setting, by_name
    )
    return 0


def _checkpoints(rows: Sequence[Row], setting: Setting) -> dict[str, Checkpoint]:
    """Of each row its own, loaded once."""
    trained: dict[str, Checkpoint] = {}
    found = {}
    for row in rows:
        recipe = fingerprint([row.recipe, setting.seed])
        if recipe not in trained:
            trained[recipe] = setting.checkpoint(str(_trained(row, recipe, setting)) if row.recipe else None)
        found[row.name] = trained[recipe]
    return found


def _trained(row: Row, recipe: str, setting: Setting) -> Path:
    """The checkpoint of a row's recipe, which is trained, or trained on, where it is not complete."""
    out = setting.folder / f"{slug(row.name)}-{recipe}.safetensors"
    preset = out.with_suffix(".toml")
    write_text(preset, tomli_w.dumps(row.recipe or {}))
    print(f"{row.name}: {out.name}", flush=True)
    pace = Pace(out.with_suffix(".seconds.json"))
    order = Order(str(preset), setting.maps, out, device=setting.device, seed=setting.seed)
    try:
        pairs = setting.folder / "pairs"
        training.run(replace(order, shared_pairs=pairs, watcher=pace, outlier_score=False))
    finally:
        pace.write()
    return out


class Pace:
    """Seconds that the steps of each stage have taken, in all runs of one training together."""

    def __init__(self, path: Path) -> None:
        self.path, self.seconds = path, pace_of(path)

    def __call__(self, report: Report, look: Look) -> None:
        """Add a step."""
        self.seconds[report.stage] = self.seconds.get(report.stage, 0.0) + report.seconds

    def write(self) -> None:
        """Keep what was added."""
        write_json(self.path, {stage: round(seconds, 1) for stage, seconds in self.seconds.items()})


def pace_of(path: Path) -> dict[str, float]:
    """Seconds by stage; none where nothing was trained."""
    read: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return read


def _result(rows: Sequence[Row], scores: Sequence[Score], costs: list[dict[str, Any]], seed: int) -> Result:
    from pds_bids.evaluation.comparison import compare
    from pds_bids.evaluation.summary import charts, findings, tables

    main = rows[0].name
    compared = compare(scores, main, seed)
    return Result(
        experiment="ablate",
        title="What each part of the recipe is worth",
        findings=findings(compared, main),
        tables=tables(compared, scores, seed) | {"What it costs": costs},
        charts=charts(compared, scores, main, NOMINAL),
    )


def _cost(row: Row, scores: Sequence[Score], checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """Seconds to train and to make a volume, as they were on this machine."""
    seconds = pace_of(folder / f"{checkpoint.name}.seconds.json")
    made = np.mean([score.seconds for score in scores if score.method == row.name])
    return {
        "method": row.name,
        "checkpoint": checkpoint.name,
        **{f"{stage}, training (s)": seconds.get(stage) for stage in ("denoiser", "refiner")},
        "one volume (s)": round(float(made), 2),
    }
