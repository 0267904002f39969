"""What each stage minimises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import PdsModel
from pds_bids.models.denoiser import drawn_estimate
from pds_bids.models.losses import (
    band_weight,
    gradient_difference,
    laplace_nll,
    mean_by_sample,
    tissue_cross_entropy,
    voxel_weight,
)
from pds_bids.models.microstructure import MicrostructureLoss, seen_tissues
from pds_bids.models.refine import Refined
from pds_bids.models.schedule import noised, x0_from_v
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


def noise(shape: Sequence[int], generators: Generators) -> Tensor:
    """(B, *shape) standard normal, on the CPU."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in generators])


def denoiser_loss(
    model: PdsModel,
    batch: Batch,
    regression: bool,
    generators: Generators,
    pattern: PatternLoss | None = None,
) -> Tensor:
    """MSE of v on standardised sub-bands plus L1 of the image estimate, on every noised modality.

    With a `pattern`, errors of the image estimate also count by ROI.
    """
    x0 = model.subbands.split(batch.images)
    u = draw_times(batch.target, regression, generators)
    eps = noise(x0.shape[1:], generators).to(x0.device)
    flat_u = u.flatten()
    x_u, v = (t.view_as(x0) for t in noised(x0.flatten(0, 1), eps.flatten(0, 1), flat_u))
    context = model.context(batch.t1w, batch.has_t1w, batch.flipped)
    v_hat = model.denoiser(x_u, u, context).float()
    noisy = (u > 0).float()[:, :, None, None, None, None]
    v_loss = mean_by_sample((v_hat - v).square(), band_weight(batch.mask)[:, None] * noisy)
    x0_hat = x0_from_v(x_u.flatten(0, 1), v_hat.flatten(0, 1), flat_u).view_as(x0)
    error = model.subbands.merge(x0_hat) - batch.images
    loss = v_loss + 2.0 * mean_by_sample(error.abs(), voxel_weight(batch.mask) * noisy[..., 0])
    if pattern is None:
        return loss
    return loss + pattern.config.weight * pattern(error, batch.mask, (u > 0).float(), batch.flipped)


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
    start = noise((draws.number, *bands_BMKXYZ.shape[2:]), generators).to(bands_BMKXYZ).transpose(0, 1)
    with torch.no_grad():
        estimate, source, spread = drawn_estimate(
            model.denoiser, bands_BMKXYZ, batch.target, context, start, draws.steps
        )
    return model.refiner(estimate, source, spread, batch.target)
