"""What each stage minimises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import PdsModel
from pds_bids.models.losses import (
    band_weight,
    gradient_difference,
    laplace_nll,
    tissue_cross_entropy,
    voxel_weight,
    weighted_mean,
)
from pds_bids.models.microstructure import seen_tissues
from pds_bids.models.schedule import noised, x0_from_v
from pds_bids.training.data import Batch
from pds_bids.training.pattern_loss import PatternLoss

Microstructure = Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor], Tensor]
"""`MicrostructureLoss` with its generator: of images, of tissues (refined and true each), and of the mask."""


def draw_times(target_B: Tensor, regression: bool, generator: torch.Generator) -> Tensor:
    """(B, M) times. Mostly clean source and noised target; a tenth joint, a tenth independent.

    A third of the target times is exactly 1: without that the one-step estimate stays behind a regression.

    Parameters
    ----------
    target_B
        Position of the target in `Modality`.
    regression
        Target times 1 and clean sources only.
    """
    size = target_B.shape[0]
    u = torch.rand((size, len(Modality)), generator=generator)
    u[torch.rand(size, generator=generator) < 1 / 3] = 1.0
    kind = torch.rand(size, generator=generator)
    if regression:
        u.fill_(1.0)
        kind.zero_()
    rows, target = torch.arange(size), target_B.cpu()
    source = 1 - target
    conditioned, joint = kind < 0.8, (kind >= 0.8) & (kind < 0.9)
    u[rows[conditioned], source[conditioned]] = 0.0
    u[rows[joint], source[joint]] = u[rows[joint], target[joint]]
    return u.to(target_B.device)


def denoiser_loss(
    model: PdsModel,
    batch: Batch,
    regression: bool,
    generator: torch.Generator,
    pattern: PatternLoss | None = None,
) -> Tensor:
    """MSE of v on standardised sub-bands plus L1 of the image estimate, on every noised modality.

    With a `pattern`, errors of the image estimate also count by ROI.
    """
    x0 = model.subbands.split(batch.images)
    u = draw_times(batch.target, regression, generator)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    flat_u = u.flatten()
    x_u, v = (t.view_as(x0) for t in noised(x0.flatten(0, 1), eps.flatten(0, 1), flat_u))
    context = model.context(batch.t1w, batch.has_t1w, batch.flipped)
    v_hat = model.denoiser(x_u, u, context).float()
    noisy = (u > 0).float()[:, :, None, None, None, None]
    v_loss = weighted_mean((v_hat - v).square(), band_weight(batch.mask)[:, None] * noisy)
    x0_hat = x0_from_v(x_u.flatten(0, 1), v_hat.flatten(0, 1), flat_u).view_as(x0)
    error = model.subbands.merge(x0_hat) - batch.images
    loss = v_loss + 2.0 * weighted_mean(error.abs(), voxel_weight(batch.mask) * noisy[..., 0])
    if pattern is None:
        return loss
    return loss + pattern.config.weight * pattern(error, batch.mask, (u > 0).float(), batch.flipped)


def refiner_loss(model: PdsModel, batch: Batch, microstructure: Microstructure | None = None) -> Tensor:
    """L1 + 0.5 MSE + tissue cross-entropy + gradient difference, and the likelihood of the error's scale.

    Parameters
    ----------
    microstructure
        Added to these, where there is one.
    """
    bands = model.subbands.split(batch.images)
    context = model.context(batch.t1w, batch.has_t1w, batch.flipped)
    _, refined = model.refined(bands, batch.target, context)
    image = model.subbands.merge_one(refined.bands_BKXYZ.float(), batch.target)
    rows = torch.arange(len(batch.target), device=image.device)
    truth, weight = batch.images[rows, batch.target][:, None], voxel_weight(batch.mask)
    error = image - truth
    tissue = sum(
        tissue_cross_entropy(t.float(), batch.tissue, band_weight(batch.mask)) for t in refined.tissue_logits
    )
    loss = (
        weighted_mean(error.abs(), weight)
        + 0.5 * weighted_mean(error.square(), weight)
        + 0.05 * tissue
        + 0.1 * gradient_difference(image * batch.mask, truth * batch.mask)
        + 0.05 * weighted_mean(laplace_nll(error.detach(), refined.voxel_log_scale()), weight)
    )
    if microstructure is None:
        return loss
    tissues = seen_tissues(model.refiner, refined.bands_BKXYZ, bands[rows, batch.target], batch.target)
    return loss + microstructure((image, truth), tissues, batch.mask)
