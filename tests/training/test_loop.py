from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from pds_bids.core.errors import PdsError, UsageError
from pds_bids.models.losses import band_weight
from pds_bids.models.microstructure import MrConfig, load_microstructure
from pds_bids.training.data import make_batch
from pds_bids.training.finish import predict
from pds_bids.training.loop import (
    StageConfig,
    TrainingConfig,
    batches,
    denoiser_objective,
    refiner_objective,
    run_stage,
    subband_statistics,
    train,
)

QUICK = TrainingConfig(
    denoiser=StageConfig(
        0.8, batch_size=1, coarse_batch_size=2, learning_rate=5e-3, coarse=0.7, regression=0.3
    ),
    refiner=StageConfig(0.2, learning_rate=5e-3),
    warmup_steps=5,
    ema=0.9,
)


def test_batches_cover_the_bank_and_both_directions(bank, generator):
    feed = batches(bank, 1, generator, "cpu")

    seen = list(itertools.islice(feed, 12))

    assert {b.target.item() for b in seen} == {0, 1}
    tissues = {b.tissue[:, 2].sum().item() for b in seen[:3]}  # the fluid of each pair has its own size
    assert len(tissues) == 3


def test_a_batch_is_never_larger_than_the_bank(bank, generator):
    assert next(batches(bank, 50, generator, "cpu")).images.shape[0] == len(bank)


def test_standardised_bands_are_standard_in_the_brain(bank, model):
    batch = make_batch(bank.get([0, 1, 2]), [0, 1, 0], None)

    model.subbands.standardise(*subband_statistics(batch.images, batch.mask))

    bands = model.subbands.split(batch.images)
    brain = (band_weight(batch.mask) > 0.5)[:, None].expand_as(bands)
    for m, k in itertools.product(range(2), range(8)):
        inside = bands[:, m, k][brain[:, m, k]]
        assert inside.mean().item() == pytest.approx(0, abs=1e-3)
        assert inside.std().item() == pytest.approx(1, abs=1e-3)


def test_a_stage_minimises(generator):
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    seen, progress = [], []

    def loss(share: float) -> torch.Tensor:
        progress.append(share)
        x = torch.randn((64, 4), generator=generator)
        value = (network(x) - x.sum(1, keepdim=True)).float().square().mean()
        seen.append(value.item())
        return value

    stage = StageConfig(0.5, learning_rate=0.05)
    config = TrainingConfig(warmup_steps=1, ema=0.5)
    averaged = run_stage(network, loss, stage, config, minutes=1 / 60, log=lambda line: None)

    assert seen[-1] < 0.05 * seen[0]
    assert progress == sorted(progress)
    assert 0 <= progress[0] < progress[-1] < 1
    torch.testing.assert_close(averaged.weight, torch.ones(1, 4), rtol=0, atol=0.1)
    assert not averaged.weight.requires_grad


def test_a_loss_that_is_not_finite_stops_in_one_line():
    network = nn.Linear(1, 1)
    before = network.weight.clone()

    with pytest.raises(PdsError, match="the loss is nan at step 0; lower learning_rate") as caught:
        run_stage(
            network,
            lambda _: network(torch.ones(1)).sum() * float("nan"),
            StageConfig(1.0),
            TrainingConfig(),
            minutes=1,
            log=lambda line: None,
        )

    assert "\n" not in str(caught.value)
    assert torch.equal(network.weight, before)


def test_the_objective_goes_from_coarse_to_fine(bank, model, generator):
    loss = denoiser_objective(model, bank, QUICK.denoiser, generator)
    sizes = []
    model.denoiser.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape)))

    statistics = []
    for progress in (0.0, 0.69, 0.71):
        loss(progress)
        statistics.append(model.subbands.sd.clone())

    assert [(s[0], *s[3:]) for s in sizes] == [(2, 20, 24, 22), (2, 20, 24, 22), (1, 40, 48, 44)]
    assert torch.equal(statistics[0], statistics[1])
    assert not torch.equal(statistics[1], statistics[2])


def test_the_denoiser_learns_from_a_few_seconds(bank, model, generator):
    objective = denoiser_objective(model, bank, StageConfig(1.0, coarse=1.0, coarse_batch_size=2), generator)
    seen = []

    def loss(progress: float) -> torch.Tensor:
        value = objective(progress)
        seen.append(value.item())
        return value

    stage = StageConfig(1.0, learning_rate=1e-2)
    run_stage(model.denoiser, loss, stage, QUICK, minutes=3 / 60, log=lambda line: None)

    assert len(seen) >= 10
    first, last = (sum(part) / 5 for part in (seen[:5], seen[-5:]))
    assert last < 0.7 * first


def test_the_second_stage_draws_its_slabs_from_the_seed(bank, model):
    def value(projection: str, seed: int) -> float:
        compare = load_microstructure(MrConfig(projection))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return refiner_objective(model, bank, StageConfig(1.0), compare, generator)(0.0).item()

    assert value("slabs", 0) == value("slabs", 0)
    assert value("slabs", 0) > value("off", 0)  # the same batch, and something on top


def test_weights_that_are_missing_are_missed_before_training(bank, model, tmp_path):
    config = TrainingConfig(mr=MrConfig("slabs", features=str(tmp_path / "none.safetensors")))

    with pytest.raises(UsageError, match=r"none\.safetensors"):
        train(model, bank, config, minutes=1, seed=0, log=pytest.fail, save=lambda: None)


@pytest.mark.slow
def test_training_leaves_a_model_that_beats_the_mean(bank, model):
    batch = make_batch(bank.get([0]), [1], None)
    inside, truth = batch.mask > 0, batch.images[:, 1:]
    flat = (truth[inside] - truth[inside].mean()).abs().mean()
    saved, logged = [], []

    train(model, bank, QUICK, minutes=0.5, seed=0, log=logged.append, save=lambda: saved.append(1))

    estimate, refined, scale = predict(model, batch)
    for image in (estimate, refined):
        assert (image - truth)[inside].abs().mean() < 0.75 * flat
    assert (scale > 0).all()
    assert len(saved) == 2
    assert all("loss" in line for line in logged)
    assert not any(p.requires_grad for p in model.parameters())
