from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from pds_bids.models.microstructure import MrConfig, load_microstructure
from pds_bids.training.feed import Feed
from pds_bids.training.recipe import StageConfig
from pds_bids.training.stages import DenoiserObjective, RefinerObjective


@pytest.fixture
def objective(small) -> DenoiserObjective:
    stage = StageConfig(1.0, batch_size=1, coarse_batch_size=2, coarse=0.7, regression=0.3)
    return DenoiserObjective(small.small_model(), Feed(small.SmallPairs(), 0, "denoiser"), stage)


def refiner(small, projection: str = "off", seed: int = 0, **stage: float) -> RefinerObjective:
    feed = Feed(small.SmallPairs(), seed, "refiner")
    compare = load_microstructure(MrConfig(projection))
    return RefinerObjective(small.small_model(), feed, StageConfig(1.0, **stage), compare)


def test_the_objective_goes_from_coarse_to_fine(objective):
    sizes, statistics = [], []
    objective.network.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape)))

    for progress in (0.0, 0.69, 0.71):
        objective(0, range(objective.batch_size(progress)), progress)
        statistics.append(objective.model.subbands.sd.clone())

    assert [(s[0], *s[3:]) for s in sizes] == [(2, 4, 4, 4), (2, 4, 4, 4), (1, 8, 8, 8)]
    assert torch.equal(statistics[0], statistics[1])
    assert not torch.equal(statistics[1], statistics[2])


def test_the_second_stage_draws_its_slabs_from_the_seed(small):
    def value(projection: str, seed: int) -> float:
        with torch.no_grad():
            return refiner(small, projection, seed)(0, range(1), 0.0).item()

    assert value("slabs", 0) == value("slabs", 0)
    assert value("slabs", 0) > value("off", 0)  # the same batch, and something on top


def test_a_share_of_the_steps_refines_draws(small):
    objective = refiner(small, draws=0.25, draw_steps=3)

    kinds = Counter(objective.draws(step) for step in range(2000))

    assert {d and tuple(d) for d in kinds} == {None, (1, 3), (4, 3)}
    assert kinds[None] / 2000 == pytest.approx(0.75, abs=0.04)
    assert kinds[1, 3] / 2000 == pytest.approx(0.125, abs=0.03)
    assert refiner(small).draws(0) is None


@pytest.mark.parametrize("number", [1, 4])
def test_the_refiner_sees_the_mean_and_the_spread_of_draws(small, number, monkeypatch):
    objective = refiner(small, draws=1.0)
    step = next(s for s in range(50) if objective.draws(s).number == number)
    seen = []
    objective.model.refiner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    torch.nn.init.normal_(objective.model.denoiser.unet.head.weight, std=0.2)

    objective(step, range(2), 0.5).backward()

    estimate, source, spread, *_ = seen[0]
    assert estimate.shape == source.shape == spread.shape == (2, 8, 8, 8, 8)
    assert bool(spread.any()) == (number == 4)
    assert all(p.grad is None for p in objective.model.denoiser.parameters())


@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_a_look_at_source_target_and_estimate(objective, small, progress):
    for each in (objective, refiner(small)):
        volumes = each.look(each.network, progress)
        n = 8 if each is objective and progress == 0 else 16
        assert volumes.shape == (2, 3, n, n, n)
        assert torch.equal(volumes[0, 0], volumes[1, 1]) == (volumes[0, 0] == volumes[1, 1]).all()
        assert not torch.equal(volumes[:, 1], volumes[:, 2])


def test_half_precision_is_finite(objective):
    objective.stage = replace(objective.stage, coarse=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        value = objective(0, range(1), 0.9)
    assert value.isfinite()
