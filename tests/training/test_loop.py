"""Whole trainings: they learn, and what interrupts one does not show in its weights."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pds_bids.core.errors import PdsError, TemporaryError, UsageError
from pds_bids.models.microstructure import MrConfig
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.data import make_batch
from pds_bids.training.distributed import Team
from pds_bids.training.feed import Feed
from pds_bids.training.finish import predict
from pds_bids.training.loop import Run, run_stage, train
from pds_bids.training.monitor import Look, Report
from pds_bids.training.recipe import StageConfig, TrainingConfig
from pds_bids.training.stages import DenoiserObjective
from pds_bids.training.state import StateFile

pytestmark = pytest.mark.slow

N_STEPS = 11
"""Of both stages of the small training."""


@pytest.fixture
def keeper(tmp_path) -> StateFile:
    return StateFile(tmp_path / "small.state.safetensors", {"seed": 5})


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory) -> tuple[PdsModel, list[float]]:
    """The weights that the small training ends with, and its losses."""
    watched = small.Watched()
    state = tmp_path_factory.mktemp("state") / "small.state.safetensors"
    model = small.small_model()
    assert train(
        model, small.SmallPairs(), small.CONFIG, Run(None, Team(), StateFile(state, {}), [watched]), 5, int
    )
    return model, watched.losses


def resumed(small, keeper: StateFile, *, minutes: float | None = None, monitors=(), finish=int):
    """One more run of the small training, by a new process as it were."""
    model, watched = small.small_model(), small.Watched()
    run = Run(minutes, Team(), keeper, [watched, *monitors], save_minutes=0)
    return train(model, small.SmallPairs(), small.CONFIG, run, 5, finish), model, watched.losses


def after(step: int, act: Callable[[], object]) -> Callable[[Report, Look], None]:
    steps = []

    def monitor(report: Report, look: Look) -> None:
        steps.append(report)
        if len(steps) == step:
            act()

    return monitor


def power_cut() -> None:
    raise ConnectionAbortedError


def same_weights(model: PdsModel, other: PdsModel) -> bool:
    weights = other.state_dict()
    return all(torch.equal(weight, weights[key]) for key, weight in model.state_dict().items())


@pytest.mark.parametrize("step", [1, 4, 7, N_STEPS])
def test_a_killed_run_resumes_bit_by_bit(small, keeper, undisturbed, step):
    """In either stage, at its first step and its last, and at either resolution."""
    model, losses = undisturbed
    with pytest.raises(ConnectionAbortedError):
        resumed(small, keeper, monitors=[after(step, power_cut)])

    complete, found, later = resumed(small, keeper)

    assert complete
    assert same_weights(found, model)
    assert later == losses[step - 1 :]  # the step that was not on disk any more is taken again


def test_a_run_whose_time_is_up_goes_on_later(small, keeper, undisturbed):
    model, losses = undisturbed
    seen: list[float] = []
    for _ in range(10 * N_STEPS):
        complete, found, some = resumed(small, keeper, minutes=0.25 / 60)
        seen += some
        if complete:
            break

    assert complete
    assert seen == losses
    assert same_weights(found, model)


@pytest.mark.parametrize(
    ("number", "error", "step"),
    [
        (signal.SIGTERM, TemporaryError, 8),
        (signal.SIGINT, KeyboardInterrupt, 8),
        (signal.SIGINT, KeyboardInterrupt, 6),
    ],
)
def test_a_signal_ends_the_run_after_the_step(small, keeper, undisturbed, number, error, step):
    """The sixth is the last of its stage."""
    model, losses = undisturbed
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    with pytest.raises(error):
        resumed(small, keeper, monitors=[after(step, lambda: os.kill(os.getpid(), number))])

    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    _, found, later = resumed(small, keeper)
    assert later == losses[step:]
    assert same_weights(found, model)


def test_a_signal_while_the_last_state_of_a_stage_is_written_is_not_lost(small, keeper, undisturbed):
    model, losses = undisturbed

    class Interrupted(StateFile):
        def write(self, position, *rest) -> None:
            super().write(position, *rest)
            if (position.stage, position.step) == ("denoiser", 6):
                os.kill(os.getpid(), signal.SIGINT)

    # A process in the background of a shell is started deaf to SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        resumed(small, Interrupted(keeper.path, keeper.recipe))

    signal.signal(signal.SIGINT, before)

    assert keeper.load().position.stage == "denoiser"
    _, found, later = resumed(small, keeper)
    assert later == losses[6:]
    assert same_weights(found, model)


@pytest.mark.parametrize("coarse", [0.0, 1.0])
def test_the_first_stage_ends_at_full_resolution(small, keeper, coarse):
    stage = StageConfig(steps=2, batch_size=2, coarse_batch_size=2, coarse=coarse)
    objective = DenoiserObjective(small.small_model(), Feed(small.SmallPairs(), 5, "denoiser"), stage)

    assert run_stage(objective, small.CONFIG, Run(None, Team(), keeper))

    assert torch.equal(objective.model.subbands.sd, objective.statistics[False].images[1])


def test_an_end_that_was_cut_short_is_made_up_for(small, keeper):
    finished: list[str] = []

    def finish() -> None:
        finished.append(keeper.load().position.stage)
        if len(finished) == 1:
            power_cut()

    with pytest.raises(ConnectionAbortedError):
        resumed(small, keeper, finish=finish)
    assert not keeper.load().position.complete

    complete, model, losses = resumed(small, keeper, finish=finish)

    assert complete
    assert finished == ["refiner", "refiner"]
    assert not losses  # nothing is learnt twice
    assert keeper.load().position.complete
    assert not any(p.requires_grad for p in model.parameters())


def test_the_clock_goes_on_where_it_stopped(small, keeper):
    config = replace(
        small.CONFIG, denoiser=StageConfig(0.9, batch_size=1), refiner=StageConfig(0.1, batch_size=1)
    )

    def run(monitors: list) -> list[Report]:
        watched = small.Watched()
        train(
            small.small_model(),
            small.SmallPairs(),
            config,
            Run(1 / 60, Team(), keeper, [watched, *monitors], 0),
            5,
            int,
        )
        return watched.reports

    seen = []
    with pytest.raises(ConnectionAbortedError):
        run([lambda report, look: seen.append(report), after(3, power_cut)])
    later = run([])

    assert seen[-2].progress < later[0].progress  # the last one before the cut was not saved
    assert [r.progress for r in later if r.stage == "denoiser"] == sorted(
        r.progress for r in later if r.stage == "denoiser"
    )
    assert later[-1].stage == "refiner"


def test_numbers_that_are_none_stop_the_training(small, keeper):
    run = Run(None, Team(), keeper)

    with pytest.raises(PdsError, match="the loss is nan"):
        train(small.small_model(), small.SmallPairs(spoil_at=20), small.CONFIG, run, 5, int)


def test_weights_that_are_missing_are_missed_before_training(small, keeper, tmp_path):
    config = replace(small.CONFIG, mr=MrConfig("slabs", features=str(tmp_path / "none.safetensors")))

    with pytest.raises(UsageError, match=r"none\.safetensors"):
        train(small.small_model(), small.SmallPairs(), config, Run(None, Team(), keeper), 0, pytest.fail)


def test_training_leaves_a_model_that_beats_the_mean(bank, model, keeper):
    config = TrainingConfig(
        denoiser=StageConfig(steps=60, coarse_batch_size=2, learning_rate=5e-3, coarse=0.7, regression=0.3),
        refiner=StageConfig(steps=15, learning_rate=5e-3, draws=0.2, draw_steps=2),
        warmup_steps=5,
        ema=0.9,
    )
    batch = make_batch(bank.get([0]), [1], None)
    inside, truth = batch.mask > 0, batch.images[:, 1:]
    flat = (truth[inside] - truth[inside].mean()).abs().mean()

    train(model, bank, config, Run(None, Team(), keeper), 0, int)

    estimate, refined, scale = predict(model, batch)
    for image in (estimate, refined):
        assert (image - truth)[inside].abs().mean() < 0.8 * flat
    assert (scale > 0).all()
