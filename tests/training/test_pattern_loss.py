"""The loss by its formula, and what each mode does to it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from pds_bids.core.errors import UsageError
from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.pattern import PatternValues
from pds_bids.training.data import halved, make_batch
from pds_bids.training.objectives import denoiser_loss
from pds_bids.training.pattern_loss import SHIFT_MM, Mode, PatternConfig, PatternLoss, perturbed

N_ROIS = 12
GRID = (16, 16, 16)
BOTH, NEITHER = torch.ones(1, 2), torch.tensor([False])


@pytest.fixture
def values() -> PatternValues:
    random = np.random.default_rng(0)
    names = tuple(f"roi {k}" for k in range(N_ROIS))
    centres = random.uniform((-50, -80, -50), (50, 40, 50), (N_ROIS, 3))
    atlas = RoiAtlas(names, centres, np.full(N_ROIS, 14.0), (RoiGroup.OTHER,) * N_ROIS)
    return PatternValues(
        atlas, random.normal(0, 0.5, (2, N_ROIS)), random.uniform(-0.8, 0.8, N_ROIS), 60, 30, 30
    )


def made(values: PatternValues, mode: Mode, seed: int = 0, **config: float) -> PatternLoss:
    return PatternLoss(values, PatternConfig(mode, **config), np.random.default_rng(seed))


def labels_on(values: PatternValues) -> torch.Tensor:
    """On `GRID`, by the nearest voxel of the model grid painted as `RoiAtlas` says."""
    fine = values.atlas.labels(MODEL_GRID)
    return torch.from_numpy(fine)


def test_the_formula(values):
    """On the model grid, voxel by voxel and ROI by ROI."""
    torch.manual_seed(0)
    error, mask = torch.randn(1, 2, *MODEL_GRID.shape), (torch.rand(1, 1, *MODEL_GRID.shape) > 0.3).float()
    labels = labels_on(values)
    up, down, per_voxel = [], [], [0.0, 0.0]
    for m in range(2):
        w_roi = 1 + 2 * np.abs(values.d_MR[m]) + np.abs(values.rho_R)
        w = torch.ones(MODEL_GRID.shape)
        for r in range(N_ROIS):
            w[labels == r + 1] = float(w_roi[r])
            inside = (labels == r + 1) & (mask[0, 0] > 0)
            up.append(w_roi[r] * error[0, m][inside].mean().abs().item())
            down.append(w_roi[r])
        w = w * (0.1 + 0.9 * mask[0, 0])
        per_voxel[0] += (w * error[0, m].abs()).sum().item()
        per_voxel[1] += w.sum().item()

    loss = made(values, "learned", roi_weight=0.3)(error, mask, BOTH, NEITHER)

    assert loss.item() == pytest.approx(per_voxel[0] / per_voxel[1] + 0.3 * sum(up) / sum(down), rel=1e-4)


def test_clean_sources_do_not_count(values):
    error = torch.zeros(1, 2, *GRID)
    error[:, 0] = 1
    loss, mask = made(values, "learned"), torch.ones(1, 1, *GRID)

    assert loss(error, mask, torch.tensor([[0.0, 1.0]]), NEITHER) == 0
    assert loss(error, mask, torch.tensor([[1.0, 0.0]]), NEITHER).item() == pytest.approx(1.1)


def test_an_error_in_a_marked_roi_costs_more_than_elsewhere(values):
    d = np.zeros_like(values.d_MR)
    d[:, 3] = -1.5
    marked = PatternValues(values.atlas, d, np.zeros(N_ROIS), 60, 30, 30)
    labels, mask = labels_on(values), torch.ones(1, 1, *MODEL_GRID.shape)
    loss = made(marked, "learned", roi_weight=0)

    def cost(where: torch.Tensor) -> float:
        error = where.float().expand(1, 2, *MODEL_GRID.shape) / where.sum()
        return loss(error, mask, BOTH, NEITHER).item()

    assert cost(labels == 4) == pytest.approx(4 * cost(labels == 1), rel=1e-4)
    assert cost(labels == 1) == pytest.approx(cost(labels == 0), rel=1e-4)


def test_rois_do_not_flip_with_the_head(values):
    torch.manual_seed(1)
    error, mask = torch.randn(2, 2, *GRID), (torch.rand(2, 1, *GRID) > 0.3).float()
    loss, noisy = made(values, "learned"), torch.ones(2, 2)
    turned = torch.tensor([True, False])
    other_error, other_mask = (torch.stack([t[0].flip(1), t[1]]) for t in (error, mask))

    plain = loss(error, mask, noisy, torch.tensor([False, False]))

    torch.testing.assert_close(loss(other_error, other_mask, noisy, turned), plain)
    assert not torch.isclose(loss(other_error, other_mask, noisy, ~turned), plain, rtol=1e-4)


def test_a_batch_says_whether_it_is_flipped(bank):
    plain, seen = make_batch(bank.get([0]), [1], None), set()
    for seed in range(6):
        batch = make_batch(bank.get([0]), [1], [torch.Generator().manual_seed(seed)])
        assert batch.flipped.tolist() == [not torch.equal(batch.mask, plain.mask)]
        assert torch.equal(halved(batch).flipped, batch.flipped)
        seen.add(batch.flipped.item())
    assert seen == {True, False}
    assert plain.flipped.tolist() == [False]


def test_learned_values_stay_and_mask_is_binary(values):
    learned, mask = made(values, "learned"), made(values, "mask")

    assert learned.values is values
    np.testing.assert_allclose(learned.weights_MR, 1 + 2 * np.abs(values.d_MR) + np.abs(values.rho_R))
    assert set(mask.weights_MR.ravel()) == {1.0}
    outside = (labels_on(values) == 0).float().expand(1, 2, *MODEL_GRID.shape)
    brain = torch.ones(1, 1, *MODEL_GRID.shape)
    assert mask(outside, brain, BOTH, NEITHER) == 0
    assert mask(1 - outside, brain, BOTH, NEITHER).item() == pytest.approx(1.1)


def test_shuffled_exchanges_whole_rois(values):
    changed = perturbed(values, "shuffled", np.random.default_rng(0))

    rows, expected = (np.vstack([v.d_MR, v.rho_R]).T for v in (changed, values))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, expected))
    assert (rows != expected).any()
    assert changed.atlas is values.atlas


def test_shifted_moves_the_rois_and_keeps_their_values(values):
    changed = perturbed(values, "shifted", np.random.default_rng(0))

    moves = changed.atlas.centres_mm - values.atlas.centres_mm
    np.testing.assert_allclose(moves, np.tile(moves[0], (N_ROIS, 1)))
    assert np.linalg.norm(moves[0]) == pytest.approx(SHIFT_MM)
    assert changed.d_MR is values.d_MR


def test_random_has_the_size_of_the_learned(values):
    many = PatternValues(
        values.atlas, np.tile(values.d_MR, 500) * 0.5, np.tile(values.rho_R, 500) * 0.3, 60, 30, 30
    )
    changed = perturbed(many, "random", np.random.default_rng(0))

    for new, old in ((changed.d_MR, many.d_MR), (changed.rho_R, many.rho_R)):
        np.testing.assert_allclose(np.square(new).mean(-1), np.square(old).mean(-1), rtol=0.1)
        assert abs(np.corrcoef(new.ravel(), old.ravel())[0, 1]) < 0.05


def test_inverted_turns_the_order_round(values):
    changed = perturbed(values, "inverted", np.random.default_rng(0))

    for new, old in zip((*changed.d_MR, changed.rho_R), (*values.d_MR, values.rho_R), strict=True):
        assert np.argsort(new).tolist() == np.argsort(-np.abs(old)).tolist()
        assert (new.min(), new.max()) == pytest.approx((np.abs(old).min(), np.abs(old).max()))
    nothing = PatternValues(values.atlas, 0 * values.d_MR, 0 * values.rho_R, 60, 0, 0)
    assert not perturbed(nothing, "inverted", np.random.default_rng(0)).d_MR.any()


@pytest.mark.parametrize("mode", [m for m in get_args(Mode) if m != "off"])
def test_the_seed_decides_and_a_gradient_flows(values, mode):
    torch.manual_seed(2)
    error, mask = torch.randn(1, 2, *GRID, requires_grad=True), torch.ones(1, 1, *GRID)

    first, again, other = (made(values, mode, s)(error, mask, BOTH, NEITHER) for s in (5, 5, 6))
    first.backward()

    assert first.item() == again.item()
    assert (first.item() != other.item()) == (mode in {"shuffled", "shifted", "random"})
    assert error.grad is not None
    assert error.grad.isfinite().all()
    assert (error.grad.flatten(2) != 0).any(dim=2).all()


def test_modes_differ(values):
    torch.manual_seed(3)
    error, mask = torch.randn(1, 2, *GRID), torch.ones(1, 1, *GRID)

    losses = {m: made(values, m)(error, mask, BOTH, NEITHER).item() for m in get_args(Mode) if m != "off"}

    assert len(set(losses.values())) == len(losses)


def test_an_unknown_mode_names_those_there_are():
    with pytest.raises(UsageError, match="learned, mask, shuffled"):
        PatternConfig("learnt")  # type: ignore[arg-type]


def test_the_loss_of_the_denoiser_is_what_it_was_plus_half_of_it(model, bank, values, monkeypatch):
    batch = halved(make_batch(bank.get([0, 1]), [0, 1], None))
    seen = []
    pattern = made(values, "learned")
    measure = PatternLoss.__call__
    monkeypatch.setattr(PatternLoss, "__call__", lambda *a: seen.append(measure(*a)) or seen[-1])

    def loss(with_pattern: PatternLoss | None) -> torch.Tensor:
        return denoiser_loss(
            model, batch, False, [torch.Generator().manual_seed(r) for r in (1, 2)], with_pattern
        )

    without, within = loss(None), loss(pattern)
    within.backward()

    assert within.item() == pytest.approx(without.item() + 0.5 * seen[0].item(), rel=1e-6)
    assert seen[0] > 0.01
    assert model.denoiser.unet.head.weight.grad.abs().sum() > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_does_not_matter(values):
    torch.manual_seed(4)
    loss = made(values, "learned")
    given = (torch.randn(1, 2, *GRID), torch.ones(1, 1, *GRID), BOTH, NEITHER)

    torch.testing.assert_close(loss(*(t.cuda() for t in given)).cpu(), loss(*given))
