"""A few more steps of training from given weights, kept as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.stages import Objective

LEARNING_RATE = 1e-4
"""Well below that of any training: what is known is to be adapted, not forgotten."""

WARMUP_STEPS = 5
EMA = 0.95
"""The average reaches back about 20 steps."""


def fine_tuned(checkpoint: Checkpoint, path: Path, objective: Callable[[PdsModel], Objective]) -> Checkpoint:
    """Weights that minimise an objective a little better, trained once and kept.

    Parameters
    ----------
    checkpoint
        Where to begin; stays as it is.
    path
        `.safetensors`; its name has to say what the weights follow from. A training that was stopped goes on
        from the state beside it.
    objective
        Given the model that learns.
    """
    from pds_bids.models.checkpoint import load_checkpoint, write_checkpoint
    from pds_bids.training.distributed import Team
    from pds_bids.training.loop import Run, run_stage
    from pds_bids.training.recipe import TrainingConfig
    from pds_bids.training.state import StateFile

    device = checkpoint.model.templates.device
    if not path.is_file():
        model = deepcopy(checkpoint.model)
        task = objective(model)
        keeper = StateFile(path.with_suffix(".state.safetensors"), {"from": checkpoint.sha256})
        state = keeper.load()
        if state is not None:
            state.restore_model(model)
        config = TrainingConfig(warmup_steps=WARMUP_STEPS, ema=EMA, bf16=device.type == "cuda")
        print(f"training {path.stem}", flush=True)
        run_stage(task, config, Run(None, Team(str(device)), keeper), state=state)
        write_checkpoint(path, model, checkpoint.card)
        keeper.path.unlink()
    tuned = load_checkpoint(str(path))
    tuned.model.to(device)
    return tuned
