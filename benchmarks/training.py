"""Training: steps and pairs per second, memory, and how long the network waits for its data.

Usage::

    python -m benchmarks.training docs/results/performance_training.json --rounds 3
    python -m benchmarks.training docs/results/performance_training_cuda.json --device cuda --batch 1 2 4 8

Of the preset `base`, on pairs of the simulator that lie in a bank, as `pds-model train` reads them. The
network waits while its batch is read, augmented and moved to the device.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Cost, Row, cost, in_turn, probe_cost, run, spread
from pds_bids.app.anatomies import template_anatomy
from pds_bids.app.bank import simulate_bank

if TYPE_CHECKING:
    from pds_bids.training.stages import Objective

N_PAIRS = 4
STEPS = 3
"""Timed together, after one that warms up."""

SHARE_DONE = 0.9
"""Of a stage: the networks see 2 mm, at any target time."""

STAGES = ("denoiser", "refiner")


def step(stage: str, folder: str, device: str, batch: str) -> Cost:
    """Gradients of a batch, its reading included, the optimiser and the moving average."""
    import torch

    from pds_bids.app.presets import load_preset, training_config
    from pds_bids.training.distributed import team
    from pds_bids.training.learner import Learner

    with team(device) as alone:
        learner = Learner(
            _objective(stage, folder, device, batch), training_config(load_preset("base")["training"]), alone
        )
        learner.step(SHARE_DONE)

        def work() -> None:
            for _ in range(STEPS):
                learner.step(SHARE_DONE)

        told = cost(work, STEPS)
        if device != "cpu":
            sys.stderr.write(f"GPU memory: {torch.cuda.max_memory_allocated() / 1e6:.0f} MB\n")
        return told


def data(stage: str, folder: str, device: str, batch: str) -> Cost:
    """A batch read, augmented, and moved to the device, by one thread.

    On a CPU the network waits for it. For a GPU several threads make batches meanwhile (`EagerFeed`).
    """
    feed = _objective(stage, folder, device, batch).feed
    feed.batch(0, int(batch), range(int(batch)))

    def work() -> None:
        for number in range(STEPS):
            feed.batch(number, int(batch), range(int(batch)))

    return cost(work, STEPS)


def _objective(stage: str, folder: str, device: str, batch: str) -> Objective:
    import torch

    from pds_bids.app.presets import load_preset, model_config, training_config
    from pds_bids.models.microstructure import load_microstructure
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import PairBank
    from pds_bids.training.feed import Feed
    from pds_bids.training.stages import DenoiserObjective, RefinerObjective

    tables = load_preset("base")
    recipe = training_config(tables["training"])
    stages = {name: replace(config, batch_size=int(batch)) for name, config in recipe.stages.items()}
    model = PdsModel(model_config(tables["model"])).to(device)
    for network in (model.denoiser, model.refiner):
        network.to(memory_format=torch.channels_last_3d)
    feed = Feed(PairBank.load(Path(folder)), 0, stage, device)
    if stage == "denoiser":
        return DenoiserObjective(model, feed, stages[stage], None)
    return RefinerObjective(model, feed, stages[stage], load_microstructure(recipe.mr))


PROBES = {"step": step, "data": data}


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every stage and size of batch in every round."""
    with tempfile.TemporaryDirectory() as name:
        folder = str(Path(name, "bank"))
        simulate_bank({0: template_anatomy()}, N_PAIRS, Path(folder), 0, 1, people=False, per_head=N_PAIRS)

        def of(probe: str, *case: object) -> Callable[[], Cost]:
            return lambda: probe_cost("training", probe, *case, cores=arguments.threads)

        cases = [(stage, folder, arguments.device, batch) for stage in STAGES for batch in arguments.batch]
        rivals = {f"{probe} {case}": of(probe, *case) for case in cases for probe in PROBES}
        costs = in_turn(rivals, arguments.rounds)
    return {"One step": [_row(case, costs[f"step {case}"], costs[f"data {case}"]) for case in cases]}


def _row(case: tuple[str, str, str, int], steps: Sequence[Cost], batches: Sequence[Cost]) -> Row:
    stage, _, _, batch = case
    waits = [batch.wall_s / step.wall_s for batch, step in zip(batches, steps, strict=True)]
    return {
        "stage": stage,
        "batch": batch,
        "cpu_s": spread([c.cpu_s for c in steps]),
        "steps_per_s": spread([1 / c.wall_s for c in steps]),
        "pairs_per_s": spread([batch / c.wall_s for c in steps]),
        "waits_for_data": spread(waits),
        "peak_mb": round(max(c.peak_mb for c in steps)),
    }


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="pairs in a step")
    run("training", "Training", measure, parser)


if __name__ == "__main__":
    main()
