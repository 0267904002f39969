"""`pds-model train`: label maps to a checkpoint."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids import __version__
from pds_bids.app.patterns import pattern_loss
from pds_bids.app.progress import monitors
from pds_bids.app.provenance import software_versions
from pds_bids.app.trainingdata import SimulatedData
from pds_bids.app.trainingorder import Order, Plan, plan
from pds_bids.bids.writing import write_json

if TYPE_CHECKING:
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Pairs
    from pds_bids.training.distributed import Team
    from pds_bids.training.state import StateFile

INTENSITY = "divided by the median in the source-derived brain mask, clipped to [0, 2]"

NO_PART_IN_THE_RESULT = ("accumulate", "checkpointing")
"""Fields of a stage that may change between two runs of one training."""


def run(order: Order) -> int:
    """Simulate pairs, train both stages, calibrate, and write the checkpoint, or go on where a run stopped.

    Returns
    -------
    int
        Exit code.
    """
    from pds_bids.models.device import resolve_device
    from pds_bids.training.distributed import team

    with team(resolve_device(order.device)) as crew, _quiet(not crew.leads):
        return _run(order, crew)


def _run(order: Order, crew: Team) -> int:
    planned = plan(order, crew.size)
    keeper = state_file(order.out, planned.about, timed=planned.config.timed)
    if order.restart and crew.leads:
        keeper.path.unlink(missing_ok=True)
    crew.wait()
    state = keeper.load()
    if state is not None and state.position.complete and order.out.is_file():
        print(f"{order.out} is complete; --restart trains it anew")
    elif _train(order, planned, keeper, crew):
        print(f"{order.out} is complete")
    else:
        print(f"the time is up; the same command goes on from {keeper.path}")
    return 0


def _train(order: Order, planned: Plan, keeper: StateFile, crew: Team) -> bool:
    import torch

    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.loop import Run, train

    about, seed = planned.about, order.seed
    threads = max(1, len(os.sched_getaffinity(0)) // crew.neighbours)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model = PdsModel(planned.model).to(crew.device)
    data = planned.cohort or _simulated(order, planned, threads, crew)
    if planned.cohort and crew.leads:
        planned.cohort.write_drawn_split(order.out)
    watchers = [order.watcher] if order.watcher and crew.leads else []
    with monitors(order.tensorboard, crew.leads) as watching:
        training, calibration = data.training(), data.calibration()
        pattern = pattern_loss(planned.pattern, training, seed)
        if pattern is not None:
            model.know(pattern.values)

        def save() -> None:
            finish(model, training, calibration, {**about, "pairs": len(training)}, order)

        run = Run(about["minutes"], crew, keeper, [*watching, *watchers])
        complete = train(model, training, planned.config, run, seed, save, pattern)
    if complete and not order.shared_pairs:
        data.discard()
    return complete


def _simulated(order: Order, planned: Plan, threads: int, crew: Team) -> SimulatedData:
    parts = planned.about["split"]
    folder = order.shared_pairs or order.out.with_suffix(".pairs")
    if crew.leads:
        write_json(order.out.with_suffix(".split.json"), parts)
    return SimulatedData(planned.maps, parts, planned.tables["data"], order.seed, folder, threads, crew)


def state_file(out: Path, about: dict[str, Any], *, timed: bool) -> StateFile:
    """Where the state of a training is kept.

    Parameters
    ----------
    about
        `split`, `preset`, `minutes` and `seed`: another training's state is refused by what differs in these.
    timed
        Whether the minutes have a part in the result.
    """
    from pds_bids.training.state import StateFile

    recipe = json.loads(json.dumps(about))
    if not timed:
        del recipe["minutes"]
    for stage in recipe["preset"]["training"].values():
        for key in NO_PART_IN_THE_RESULT if isinstance(stage, dict) else ():
            stage.pop(key, None)
    return StateFile(out.with_suffix(".state.safetensors"), recipe)


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """One process speaks for all."""
    with ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
        yield


def finish(model: PdsModel, training: Pairs, calibration: Pairs, about: dict[str, Any], order: Order) -> None:
    """Add templates and calibration, and write the checkpoint with its card."""
    from pds_bids.evaluation.metrics import DATA_RANGE
    from pds_bids.models.checkpoint import round_as_stored, write_checkpoint
    from pds_bids.training.finish import calibrate, fit_outlier_score, set_templates

    round_as_stored(model)
    set_templates(model, training)
    factors = calibrate(model, calibration)
    limits = fit_outlier_score(model, training, calibration) if order.outlier_score else {}
    card = {
        "version": __version__,
        "intensity": INTENSITY,
        "data_range": DATA_RANGE,
        "calibration": factors,
        "outlier_limits": limits,
        "machine": platform.machine(),
        "software": software_versions(),
        "intended_use": "research only, never diagnosis; mean volumes of adults",
        **about,
        "training_data": f"{about['pairs']} pairs {about['training_data']}",
    }
    write_checkpoint(order.out, model, json.loads(json.dumps(card)))
    print(f"wrote {order.out}", flush=True)
