"""The two training stages: first the denoiser, then the refiner on the outputs of the frozen denoiser."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from pds_bids.models.microstructure import load_microstructure
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.data import PairBank, Pairs
from pds_bids.training.distributed import Team
from pds_bids.training.feed import EagerFeed, Feed
from pds_bids.training.learner import Learner
from pds_bids.training.monitor import Monitor, Report, Timer
from pds_bids.training.pattern_loss import PatternLoss
from pds_bids.training.recipe import TrainingConfig
from pds_bids.training.signals import SignalWatch, stopped_by
from pds_bids.training.stages import DenoiserObjective, Objective, RefinerObjective
from pds_bids.training.state import Position, State, StateFile

TIME_IS_UP = -1.0
"""Beside the numbers of signals and 0: why the leader stops a stage early."""


@dataclass(frozen=True)
class Run:
    """How a training is run. Nothing in here has a part in its result, save minutes where stages share them.

    Attributes
    ----------
    minutes
        What stages take their shares of. A stage that counts steps stops when this run has taken so long; a
        later run goes on. None: no limit.
    team
        The processes.
    keeper
        Where the state is kept.
    monitors
        Told of every step; the leader's alone are.
    save_minutes
        Between two states on disk.
    """

    minutes: float | None
    team: Team
    keeper: StateFile
    monitors: Sequence[Monitor] = ()
    save_minutes: float = 5.0


def train(
    model: PdsModel,
    pairs: Pairs,
    config: TrainingConfig,
    run: Run,
    seed: int,
    finish: Callable[[], None],
    pattern: PatternLoss | None = None,
) -> bool:
    """Both stages, in place, from where an earlier run stopped: `model` ends with the averaged weights.

    Parameters
    ----------
    seed
        Every random choice follows from it.
    finish
        Called by the leader when both are done.

    Returns
    -------
    bool
        Whether it is complete. Otherwise the time was up, and a state is kept.
    """
    config.require_processes(run.team.size)
    microstructure = load_microstructure(config.mr)
    deadline = math.inf if run.minutes is None else time.monotonic() + 60 * run.minutes
    for network in (model.denoiser, model.refiner):
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # not in the stubs
    state = run.keeper.load()
    if state is not None:
        state.restore_model(model)

    def feed(stage: str) -> Feed:
        device = model.templates.device
        # Pairs that the device itself simulates are no sooner there by threads.
        eager = device.type != "cpu" and isinstance(pairs, PairBank)
        return (EagerFeed if eager else Feed)(pairs, seed, stage, device)

    stages: dict[str, Callable[[], Objective]] = {
        "denoiser": lambda: DenoiserObjective(model, feed("denoiser"), config.denoiser, pattern),
        "refiner": lambda: RefinerObjective(model, feed("refiner"), config.refiner, microstructure),
    }
    for name, objective in stages.items():
        if state is not None and state.position.stage != name:
            continue  # an earlier run has done it
        if not run_stage(objective(), config, run, deadline, state):
            return False
        state = None
    if run.team.leads:
        finish()
        run.keeper.mark_complete()
    run.team.wait()
    return True


def run_stage(
    objective: Objective,
    config: TrainingConfig,
    run: Run,
    deadline: float = math.inf,
    state: State | None = None,
) -> bool:
    """Minimise an objective. Its network becomes the moving average once the stage is done.

    Parameters
    ----------
    deadline
        In `time.monotonic()`: when a stage that counts steps stops early.
    state
        Where to go on from; the model has its weights already.

    Returns
    -------
    bool
        Whether the stage is done, and not just the time up.

    Raises
    ------
    PdsError
        When the loss is not finite.
    TemporaryError, KeyboardInterrupt
        After SIGTERM and SIGINT, once the state is written.
    """
    stage, name = objective.stage, objective.feed.stage
    learner = Learner(objective, config, run.team)
    if state is not None:
        state.restore_stage(learner.network, learner.ema, learner.optimiser)
        learner.steps = state.position.step
    start = time.monotonic() - (state.position.elapsed_s if state else 0)
    save_is_due = Timer(60 * run.save_minutes)
    with SignalWatch() as signals, closing(objective.feed):
        while True:
            now = time.monotonic()
            share_done = stage.progress(learner.steps, now - start, run.minutes)
            time_is_up = stage.steps is not None and now >= deadline
            progress, stop = run.team.told(share_done, TIME_IS_UP if time_is_up else signals.received)
            over = progress >= 1 or stop != 0
            if run.team.leads and (over or save_is_due()):
                position = Position(name, learner.steps, now - start)
                run.keeper.write(position, objective.model, learner.ema, learner.optimiser)
            if over:
                break
            loss = learner.step(progress)
            if run.team.leads:
                report(run, learner, loss, objective.batch_size(progress), now, start)
        if stop > 0:
            raise stopped_by(int(stop))
    if progress >= 1:
        objective.conclude()
        setattr(objective.model, name, learner.ema.network)
    return progress >= 1


def report(run: Run, learner: Learner, loss: float, pairs: int, began: float, start: float) -> None:
    """Tell the monitors of the step that has just been taken.

    Parameters
    ----------
    pairs
        In the step.
    began, start
        When the step and the stage began, in `time.monotonic()`.
    """
    objective, now = learner.objective, time.monotonic()
    progress = objective.stage.progress(learner.steps, now - start, run.minutes)
    step = Report(
        stage=objective.feed.stage,
        step=learner.steps,
        progress=min(progress, 1.0),
        loss=loss,
        learning_rate=learner.optimiser.param_groups[0]["lr"],
        pairs=pairs,
        seconds=now - began,
        seconds_left=max(0.0, (now - start) * (1 - progress) / progress),
    )
    for monitor in run.monitors:
        monitor(step, lambda: objective.look(learner.ema.network, progress))
