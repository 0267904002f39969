"""What each stage minimises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.models.denoiser import Wiring, draw, mean_and_spread
from pds_bids.models.losses import (
    band_weight,
    gradient_difference,
    laplace_nll,
    mean_by_sample,
    tissue_cross_entropy,
    voxel_weight,
)
from pds_bids.models.microstructure import MicrostructureLoss, seen_tissues
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.models.refine import Refined
from pds_bids.training.data import Batch
from pds_bids.training.pattern_loss import PatternLoss

Generators = Sequence[torch.Generator]
"""One for each row of a batch, so that what a row draws does not depend on the others."""


def draw_times(target_B: Tensor, regression: bool, generators: Generators) -> Tensor:
    """(B, M) times. Mostly clean source and noised target; a tenth joint, a tenth independent.

    A third of the target times is exactly 1: without that the one-step estimate stays behind a regression.

    Parameters
    ----------
    target_B
        Position of the target in `Modality`.
    regression
        Target times 1 and clean sources only.
    """
    n = len(Modality)
    drawn = torch.stack([torch.rand(n + 2, generator=generator) for generator in generators])
    u, certain, kind = drawn[:, :n], drawn[:, n] < 1 / 3, drawn[:, n + 1]
    u[certain] = 1.0
    if regression:
        u.fill_(1.0)
        kind.zero_()
    rows, target = torch.arange(len(u)), target_B.cpu()
    source = 1 - target
    conditioned, joint = kind < 0.8, (kind >= 0.8) & (kind < 0.9)
    u[rows[conditioned], source[conditioned]] = 0.0
    u[rows[joint], source[joint]] = u[rows[joint], target[joint]]
    return u.to(target_B.device)


def joint_times(target_B: Tensor, generators: Generators) -> Tensor:
    """(B, M) times, the same for both modalities."""
    u = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    return u.expand(-1, len(Modality)).to(target_B.device)


def noise(shape: Sequence[int], generators: Generators) -> Tensor:
    """(B, *shape) standard normal, on the CPU."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def concat_times(target_B: Tensor, generators: Generators) -> Tensor:
    """(B, M) times, any for the target and 0 for the source."""
    u = torch.stack([torch.rand(1, generator=generator) for generator in generators])
    return u.to(target_B.device) * F.one_hot(target_B, len(Modality))


class _Noised(NamedTuple):
    """A batch at some times, and what the denoiser says of it: sub-bands, (B, M, 8, X, Y, Z) each."""

    x0: Tensor
    eps: Tensor
    x_u: Tensor
    said: Tensor


def _noised(model: PdsModel, batch: Batch, u_BM: Tensor, generators: Generators) -> _Noised:
    x0 = model.subbands.split(batch.images)
    eps = noise(x0.shape[1:], generators).to(x0.device)
    x_u = model.denoiser.schedule.noised(x0, eps, u_BM)
    context = model.context(batch.t1w, batch.has_t1w, batch.flipped)
    return _Noised(x0, eps, x_u, model.denoiser(x_u, u_BM, context).float())


def denoiser_loss(
    model: PdsModel,
    batch: Batch,
    regression: bool,
    generators: Generators,
    pattern: PatternLoss | None = None,
) -> Tensor:
    """What the wiring of the denoiser asks for.

    Parameters
    ----------
    regression
        Target times 1 and clean sources only; wirings that predict eps know no such thing.
    pattern
        Errors also count by ROI.
    """
    if model.denoiser.wiring is Wiring.JOINT:
        return _joint_loss(model, batch, generators, pattern)
    if model.denoiser.wiring is Wiring.CONCAT:
        return _concat_loss(model, batch, generators, pattern)
    return _conditional_loss(
        model, batch, draw_times(batch.target, regression, generators), generators, pattern
    )


def _conditional_loss(
    model: PdsModel, batch: Batch, u_BM: Tensor, generators: Generators, pattern: PatternLoss | None
) -> Tensor:
    """MSE of v on standardised sub-bands plus L1 of the image estimate, on every noised modality."""
    schedule, state = model.denoiser.schedule, _noised(model, batch, u_BM, generators)
    noisy = (u_BM > 0).float()
    wrong = state.said - schedule.answer(state.x0, state.eps, u_BM)
    weight = band_weight(batch.mask)[:, None] * noisy[:, :, None, None, None, None]
    x0_hat, _ = schedule.solve(state.x_u, state.said, u_BM)
    error = model.subbands.merge(x0_hat) - batch.images
    seen = voxel_weight(batch.mask) * noisy[:, :, None, None, None]
    loss = mean_by_sample(wrong.square(), weight) + 2.0 * mean_by_sample(error.abs(), seen)
    if pattern is None:
        return loss
    return loss + pattern.config.weight * pattern(error, batch.mask, noisy, batch.flipped)


def _joint_loss(model: PdsModel, batch: Batch, generators: Generators, pattern: PatternLoss | None) -> Tensor:
    """The published one: L1 of eps, and once more where the pattern lies; everywhere, without a mask."""
    u = joint_times(batch.target, generators)
    state = _noised(model, batch, u, generators)
    wrong = state.said - state.eps
    if pattern is None:
        return wrong.abs().mean()
    everywhere = torch.ones_like(batch.mask)
    error = model.subbands.transform.inverse(wrong.flatten(1, 2))
    return wrong.abs().mean() + pattern.config.weight * pattern(
        error, everywhere, torch.ones_like(u), batch.flipped
    )


def _concat_loss(
    model: PdsModel, batch: Batch, generators: Generators, pattern: PatternLoss | None
) -> Tensor:
    """That of a DDPM (Ho 2020): MSE of eps, of the target alone, and once more where the pattern lies."""
    state = _noised(model, batch, concat_times(batch.target, generators), generators)
    wrong, noisy = state.said - state.eps, F.one_hot(batch.target, len(Modality)).float()
    weight = band_weight(batch.mask)[:, None] * noisy[:, :, None, None, None, None]
    loss = mean_by_sample(wrong.square(), weight)
    if pattern is None:
        return loss
    error = model.subbands.transform.inverse(wrong.flatten(1, 2))
    return loss + pattern.config.weight * pattern(error, batch.mask, noisy, batch.flipped)


class Draws(NamedTuple):
    """`number` samples of the denoiser in `steps` each; none stands for the one-step estimate."""

    number: int
    steps: int


def refiner_loss(
    model: PdsModel,
    batch: Batch,
    generators: Generators,
    microstructure: MicrostructureLoss | None = None,
    draws: Draws | None = None,
) -> Tensor:
    """L1 + 0.5 MSE + tissue cross-entropy + gradient difference, and the likelihood of the error's scale.

    Parameters
    ----------
    microstructure
        Added to these, where there is one.
    draws
        What is refined, where it is not the one-step estimate.
    """
    bands = model.subbands.split(batch.images)
    refined = _refined(model, bands, batch, generators, draws)
    image = model.subbands.merge_one(refined.bands_BKXYZ.float(), batch.target)
    rows = torch.arange(len(batch.target), device=image.device)
    truth, weight = batch.images[rows, batch.target][:, None], voxel_weight(batch.mask)
    error = image - truth
    tissue = sum(
        tissue_cross_entropy(t.float(), batch.tissue, band_weight(batch.mask)) for t in refined.tissue_logits
    )
    loss = (
        mean_by_sample(error.abs(), weight)
        + 0.5 * mean_by_sample(error.square(), weight)
        + 0.05 * tissue
        + 0.1 * gradient_difference(image * batch.mask, truth * batch.mask)
        + 0.05 * mean_by_sample(laplace_nll(error.detach(), refined.voxel_log_scale()), weight)
    )
    if microstructure is None:
        return loss
    refined_true = (refined.bands_BKXYZ, bands[rows, batch.target])
    tissues = seen_tissues(model.refiner, *refined_true, batch.target)
    # One by one: each has slabs of its own, and the distance is relative to what its own true volume holds.
    distances = [
        microstructure(
            (image[k : k + 1], truth[k : k + 1]),
            (tissues[0][k : k + 1], tissues[1][k : k + 1]),
            batch.mask[k : k + 1],
            generator,
        )
        for k, generator in enumerate(generators)
    ]
    return loss + torch.stack(distances).mean()


def _refined(
    model: PdsModel, bands_BMKXYZ: Tensor, batch: Batch, generators: Generators, draws: Draws | None
) -> Refined:
    context = model.context(batch.t1w, batch.has_t1w, batch.flipped)
    if draws is None:
        return model.refined(bands_BMKXYZ, batch.target, context)[1]
    start = noise((draws.number, *bands_BMKXYZ.shape[1:]), generators).to(bands_BMKXYZ).transpose(0, 1)
    with torch.no_grad():
        samples = draw(model.denoiser, bands_BMKXYZ, batch.target, context, start, draws.steps)
    rows = torch.arange(len(batch.target), device=samples.device)
    source = bands_BMKXYZ[rows, 1 - batch.target]
    estimate, spread = mean_and_spread(samples)
    return model.refiner(estimate, source, spread, batch.target, context)
