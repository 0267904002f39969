"""What the published wiring cannot do, and ours can: see the subject."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import load_checkpoint, write_checkpoint
from pds_bids.models.denoiser import BANDS, N_CONTEXT, Wiring, draw, mean_and_spread, point_estimate
from pds_bids.models.pdsmodel import ModelConfig, PdsModel

SIZE = (5, 6, 4)
WIRINGS = pytest.mark.parametrize("wiring", list(Wiring))
DIRECTIONS = pytest.mark.parametrize("target", range(len(Modality)), ids=[m.value for m in Modality])


@pytest.fixture
def wired(tiny_config: ModelConfig, awake):
    def make(wiring: Wiring) -> PdsModel:
        torch.manual_seed(0)
        denoiser = dataclasses.replace(tiny_config.denoiser, wiring=wiring)
        return awake(PdsModel(dataclasses.replace(tiny_config, denoiser=denoiser)))

    return make


@pytest.fixture
def people(generator) -> torch.Tensor:
    """Sub-bands of two people."""
    return torch.randn((2, 1, len(Modality), BANDS, *SIZE), generator=generator)


@pytest.fixture
def context(generator) -> torch.Tensor:
    return torch.randn((1, N_CONTEXT, *SIZE), generator=generator)


def both_estimates(model: PdsModel, people: torch.Tensor, context: torch.Tensor, target: int, steps: int):
    """Of the two people: draws from the same noise, and point estimates."""
    index, noise = torch.tensor([target]), torch.randn((1, *people.shape[1:]))
    draws = [draw(model.denoiser, bands, index, context, noise, steps) for bands in people]
    return draws, [point_estimate(model.denoiser, bands, index, context)[0] for bands in people]


@DIRECTIONS
def test_the_published_sampler_never_sees_the_subject(wired, people, context, target):
    """The flaw: another subject's acquired volume gives the same diffusion output, to the last bit."""
    for one, other in both_estimates(wired(Wiring.JOINT), people, context, target, steps=6):
        assert torch.equal(one, other)
        assert one.std() > 0


@DIRECTIONS
@pytest.mark.parametrize("wiring", [Wiring.CONDITIONAL, Wiring.CONCAT])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_others_do(wired, people, context, target, wiring, steps):
    for one, other in both_estimates(wired(wiring), people, context, target, steps):
        assert (one - other).abs().mean() > 0.01 * one.abs().mean()


@DIRECTIONS
def test_under_the_published_wiring_the_subject_enters_in_the_refiner_alone(wired, people, context, target):
    model = wired(Wiring.JOINT)
    torch.nn.init.normal_(model.refiner.unet.head.weight, std=0.1)

    outcomes = [model.refined(bands, torch.tensor([target]), context) for bands in people]

    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert not torch.allclose(outcomes[0][1].bands_BKXYZ, outcomes[1][1].bands_BKXYZ)


@WIRINGS
def test_draws_of_a_batch_are_those_of_its_rows(wired, people, context, wiring):
    model, target = wired(wiring), torch.tensor([0, 1])
    noise = torch.randn((3, 2, *people.shape[2:]))

    together = draw(model.denoiser, people[:, 0], target, context.expand(2, -1, -1, -1, -1), noise, 3)

    assert together.shape == (3, 2, BANDS, *SIZE)
    for row in range(2):
        alone = draw(
            model.denoiser, people[row], target[row : row + 1], context, noise[1:2, row : row + 1], 3
        )
        torch.testing.assert_close(together[1:2, row : row + 1], alone, rtol=1e-3, atol=1e-3)


def test_one_step_of_ours_is_the_point_estimate(wired, people, context):
    model, target = wired(Wiring.CONDITIONAL), torch.tensor([1])

    one_step = draw(model.denoiser, people[0], target, context, torch.randn((1, *people.shape[1:])), 1)[0]

    torch.testing.assert_close(one_step, point_estimate(model.denoiser, people[0], target, context)[0])


def test_the_mean_of_draws_and_how_they_spread(generator):
    draws = torch.randn((4, 2, BANDS, *SIZE), generator=generator)

    mean, spread = mean_and_spread(draws)

    torch.testing.assert_close(mean, draws.mean(0))
    torch.testing.assert_close(spread, draws.std(0))
    assert not mean_and_spread(draws[:1])[1].any()


@WIRINGS
def test_a_checkpoint_keeps_the_wiring(wired, wiring, tmp_path):
    write_checkpoint(tmp_path / "model.safetensors", wired(wiring), {})

    read = load_checkpoint(str(tmp_path / "model.safetensors")).model

    assert read.denoiser.wiring is wiring
    assert type(read.denoiser.schedule) is type(wired(wiring).denoiser.schedule)
