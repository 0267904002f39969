from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pds_bids.core.errors import PdsError
from pds_bids.models.microstructure import load_microstructure
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.distributed import Team
from pds_bids.training.feed import Feed
from pds_bids.training.learner import Learner
from pds_bids.training.stages import DenoiserObjective, RefinerObjective


def stage_after(small, name: str, steps: int, **change: object) -> PdsModel:
    """The model after so many steps of one stage."""
    model, feed = small.small_model(), Feed(small.SmallPairs(), 3, name)
    config = replace(getattr(small.CONFIG, name), **change)
    objective = (
        DenoiserObjective(model, feed, config)
        if name == "denoiser"
        else RefinerObjective(model, feed, config, load_microstructure(small.CONFIG.mr))
    )
    learner = Learner(objective, small.CONFIG, Team())
    for _ in range(steps):
        learner.step(0.5)
    return model


@pytest.mark.parametrize("name", ["denoiser", "refiner"])
@pytest.mark.parametrize("change", [{"accumulate": 4}, {"accumulate": 3}, {"checkpointing": True}])
def test_what_saves_memory_changes_nothing(small, name, change):
    plain, saving = stage_after(small, name, 2), stage_after(small, name, 2, **change)

    start = small.small_model().get_submodule(name).state_dict()
    for key, weight in plain.get_submodule(name).state_dict().items():
        torch.testing.assert_close(saving.get_submodule(name).state_dict()[key], weight, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(start[k], w) for k, w in plain.get_submodule(name).state_dict().items())


def test_only_the_network_of_the_stage_learns(small):
    start = small.small_model().state_dict()

    for name, other in (("denoiser", "refiner"), ("refiner", "denoiser")):
        after = stage_after(small, name, 2).state_dict()
        changed = {key.split(".")[0] for key, weight in after.items() if not torch.equal(weight, start[key])}
        assert name in changed
        assert other not in changed


def test_a_loss_that_is_not_finite_stops_in_one_line(small):
    pairs = small.SmallPairs()
    objective = DenoiserObjective(small.small_model(), Feed(pairs, 0, "denoiser"), small.CONFIG.denoiser)
    learner = Learner(objective, small.CONFIG, Team())
    learner.step(0.5)
    before = {key: weight.clone() for key, weight in learner.network.state_dict().items()}
    pairs.spoil_at = 0

    with pytest.raises(
        PdsError, match=r"the loss is nan \(denoiser, step 1\); lower learning_rate"
    ) as caught:
        learner.step(0.5)

    assert "\n" not in str(caught.value)
    assert all(torch.equal(weight, before[key]) for key, weight in learner.network.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(small):
    """The loss is finite all the while."""
    objective = DenoiserObjective(
        small.small_model(), Feed(small.SmallPairs(), 0, "denoiser"), small.CONFIG.denoiser
    )
    learner = Learner(objective, small.CONFIG, Team())
    before = {key: weight.clone() for key, weight in learner.network.state_dict().items()}
    learner.network.unet.head.bias.register_hook(lambda gradient: gradient * torch.inf)

    with pytest.raises(PdsError, match=r"the size of the gradient is (nan|inf) \(denoiser, step 0\)"):
        learner.step(0.5)

    assert all(torch.equal(weight, before[key]) for key, weight in learner.network.state_dict().items())


def test_the_rate_warms_up_and_falls(small):
    objective = DenoiserObjective(
        small.small_model(),
        Feed(small.SmallPairs(), 0, "denoiser"),
        replace(small.CONFIG.denoiser, learning_rate=1.0),
    )
    learner = Learner(objective, replace(small.CONFIG, warmup_steps=4), Team())

    rates = []
    for learner.steps, progress in ((0, 0.0), (1, 0.0), (10, 0.0), (10, 0.5), (10, 1.0)):
        rates.append(learner.learning_rate(progress))

    assert rates == pytest.approx([0.25, 0.5, 1.0, 0.5, 0.0])
