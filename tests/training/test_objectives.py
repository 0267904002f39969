from __future__ import annotations

import copy
import math

import pytest
import torch

from pds_bids.models.denoiser import SCHEDULES, Wiring
from pds_bids.models.losses import band_weight, voxel_weight
from pds_bids.models.microstructure import MrConfig, load_microstructure
from pds_bids.models.refine import N_TISSUES, Refined
from pds_bids.training.data import Batch, halved, make_batch
from pds_bids.training.objectives import Draws, concat_times, denoiser_loss, draw_times, refiner_loss


@pytest.fixture
def batch(bank) -> Batch:
    return halved(make_batch(bank.get([0, 1]), [0, 1], None))


def rows(seed: int = 0) -> list[torch.Generator]:
    """Generators for the rows of the batch."""
    return [torch.Generator().manual_seed(2 * seed + row) for row in range(2)]


def test_regression_is_a_clean_source_and_a_hidden_target(generator):
    u = draw_times(torch.tensor([0, 1, 1]), regression=True, generators=[generator] * 3)

    assert u.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


def test_the_mix_of_times(generator):
    target = torch.arange(20_000) % 2
    place = torch.arange(len(target))

    u = draw_times(target, regression=False, generators=[generator] * len(target))

    of_target, of_source = u[place, target], u[place, 1 - target]
    clean, joint = of_source == 0, of_source == of_target
    assert clean.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert (of_target == 1).float().mean().item() == pytest.approx(1 / 3, abs=0.01)
    # A tenth is drawn joint; of the independent tenth, a third has both times at 1.
    assert joint.float().mean().item() == pytest.approx(0.1 + 0.1 / 3, abs=0.01)
    assert (u >= 0).all()
    assert (u <= 1).all()
    between = of_target[of_target < 1]
    assert between.mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("target", [0, 1])
def test_the_regression_loss_of_a_network_that_says_zero(model, batch, generator, target):
    """Then v_hat - v = x0 and the image estimate is zero, on the target alone."""
    batch = batch._replace(target=torch.tensor([target, target]))
    truth = batch.images[:, target : target + 1]
    band, voxel = band_weight(batch.mask), voxel_weight(batch.mask)
    x0 = model.subbands.split(batch.images)[:, target]
    squared = ((x0.square() * band).sum((1, 2, 3, 4)) / (8 * band.sum((1, 2, 3, 4)))).mean()
    absolute = ((truth.abs() * voxel).sum((1, 2, 3, 4)) / voxel.sum((1, 2, 3, 4))).mean()

    loss = denoiser_loss(model, batch, regression=True, generators=rows())

    assert loss.item() == pytest.approx((squared + 2 * absolute).item(), rel=1e-4)


def test_the_denoiser_learns_at_every_time(model, batch, generator):
    loss = denoiser_loss(model, batch, regression=False, generators=rows())
    loss.backward()

    assert torch.isfinite(loss)
    assert model.denoiser.unet.head.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.refiner.parameters())


def test_only_the_refiner_learns_from_its_loss(model, batch):
    refiner_loss(model, batch, rows()).backward()

    assert all(p.grad is None for p in model.denoiser.parameters())
    assert model.refiner.unet.head.weight.grad.abs().sum() > 0
    assert model.refiner.projector[-1].weight.grad.abs().sum() > 0


def test_a_perfect_refiner_pays_for_what_it_does_not_know_of_tissues(model, batch, monkeypatch):
    truth = model.subbands.split(batch.images)[torch.arange(2), batch.target]
    at_a_loss = torch.zeros_like(truth[:, :N_TISSUES])
    refined = Refined(truth, torch.zeros_like(truth), (at_a_loss, at_a_loss))
    monkeypatch.setattr(type(model), "refined", lambda *_: (truth, refined))

    assert refiner_loss(model, batch, rows()).item() == pytest.approx(2 * 0.05 * math.log(4), rel=0.01)


def test_an_error_everywhere_costs_by_the_formula(model, batch, monkeypatch):
    """0.2 off: L1 + half the square, and a Laplace error of expected size 1; no gradient is wrong inside."""
    offset = 0.2
    batch = batch._replace(mask=torch.ones_like(batch.mask))
    bands = model.subbands.split(batch.images + offset)[torch.arange(2), batch.target]
    at_a_loss = torch.zeros_like(bands[:, :N_TISSUES])
    refined = Refined(bands, torch.zeros_like(bands), (at_a_loss, at_a_loss))
    monkeypatch.setattr(type(model), "refined", lambda *_: (bands, refined))

    expected = offset + 0.5 * offset**2 + 0.05 * offset + 2 * 0.05 * math.log(4)

    assert refiner_loss(model, batch, rows()).item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("projection", ["slabs", "mean", "native3d"])
def test_microstructure_is_added_and_teaches_the_network_but_not_its_judge(
    model, batch, projection, monkeypatch
):
    compare = load_microstructure(MrConfig(projection))
    judged = copy.deepcopy(model)
    values = []
    forward = compare.forward
    monkeypatch.setattr(compare, "forward", lambda *pairs: values.append(forward(*pairs)) or values[-1])

    plain, more = refiner_loss(model, batch, rows()), refiner_loss(judged, batch, rows(), compare)
    plain.backward()
    more.backward()

    assert len(values) == 2  # one for each row
    assert min(values) > 0
    torch.testing.assert_close(more, plain + sum(values) / 2)
    head, same_head = judged.refiner.unet.head.weight.grad, model.refiner.unet.head.weight.grad
    assert not torch.allclose(head, same_head, rtol=0.01)
    # The head is zero, so that nothing reaches the projector through the network: only what it says counts.
    projectors = judged.refiner.projector, model.refiner.projector
    for found, expected in zip(*(p.parameters() for p in projectors), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


def test_a_perfect_refiner_pays_nothing_for_microstructure(model, batch, monkeypatch):
    truth = model.subbands.split(batch.images)[torch.arange(2), batch.target]
    at_a_loss = torch.zeros_like(truth[:, :N_TISSUES])
    refined = Refined(truth, torch.zeros_like(truth), (at_a_loss, at_a_loss))
    monkeypatch.setattr(type(model), "refined", lambda *_: (truth, refined))
    compare = load_microstructure(MrConfig("slabs"))

    more = refiner_loss(model, batch, rows(), compare)

    torch.testing.assert_close(more, refiner_loss(model, batch, rows()), rtol=0, atol=1e-5)


def test_microstructure_is_finite_in_half_precision(model, batch):
    compare = load_microstructure(MrConfig("slabs"))

    with torch.autocast("cpu", torch.bfloat16):
        value = refiner_loss(model, batch, rows(), compare)
    value.backward()

    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in model.refiner.parameters() if p.grad is not None)


def part(batch: Batch, row: int) -> Batch:
    return Batch(*(tensor[row : row + 1] for tensor in batch))


@pytest.mark.parametrize("draws", [None, Draws(1, 2), Draws(3, 2)])
def test_the_loss_of_a_batch_is_the_mean_of_its_rows(model, batch, draws):
    """With masks of different size, and everything that is drawn."""
    batch.mask[0, :, :15] = 0
    compare = load_microstructure(MrConfig("slabs"))

    def losses(some: Batch, generators: list[torch.Generator]) -> torch.Tensor:
        first = denoiser_loss(model, some, False, generators)
        return torch.stack([first, refiner_loss(model, some, generators, compare, draws)])

    with torch.no_grad():
        one_by_one = [losses(part(batch, row), rows()[row : row + 1]) for row in range(2)]
        torch.testing.assert_close(
            losses(batch, rows()), torch.stack(one_by_one).mean(0), rtol=1e-4, atol=1e-5
        )
    assert not torch.allclose(*one_by_one, rtol=1e-2)


def test_real_data_without_tissues_teach_none(model, batch):
    """Where the fractions are all zero, the tissues of a row are not known."""
    unknown = batch._replace(tissue=torch.zeros_like(batch.tissue))
    known_half = batch._replace(tissue=torch.cat([batch.tissue[:1], unknown.tissue[1:]]))

    loss, half, none = (refiner_loss(model, b, rows()) for b in (batch, known_half, unknown))

    assert loss > half > none
    none.backward()
    assert not any(p.grad is not None and p.grad.any() for p in model.refiner.projector.parameters())


def test_concatenation_noises_the_target_alone():
    target = torch.tensor([0, 1])

    u = concat_times(target, rows())

    assert (u[[0, 1], 1 - target] == 0).all()
    assert (u[[0, 1], target] > 0).all()
    assert torch.equal(u[:1], concat_times(target[:1], rows()[:1]))


def test_the_loss_of_concatenation_is_that_of_the_targets_noise(model, batch, monkeypatch):
    """A network that says zero is wrong by eps, whose mean square is 1, wherever the target is."""
    monkeypatch.setattr(model.denoiser, "wiring", Wiring.CONCAT)
    monkeypatch.setattr(model.denoiser, "schedule", SCHEDULES[Wiring.CONCAT]())

    loss = denoiser_loss(model, batch, regression=False, generators=rows())
    loss.backward()

    assert loss.item() == pytest.approx(1, abs=0.05)
    assert model.denoiser.unet.head.weight.grad.abs().sum() > 0
