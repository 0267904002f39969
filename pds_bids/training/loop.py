"""The two training stages: first the denoiser, then the refiner on the outputs of the frozen denoiser.

Budgets are in minutes, because that is what a lab has; schedules follow the elapsed share of the budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pds_bids.core.errors import PdsError
from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import PdsModel
from pds_bids.models.denoiser import one_step_estimate
from pds_bids.models.losses import (
    band_weight,
    gradient_difference,
    laplace_nll,
    tissue_cross_entropy,
    voxel_weight,
    weighted_mean,
)
from pds_bids.models.refine import blocks_to_voxels
from pds_bids.models.schedule import noised, x0_from_v
from pds_bids.training.data import Batch, PairBank, halved, make_batch
from pds_bids.training.ema import Ema


@dataclass(frozen=True)
class StageConfig:
    """One stage: `share` of the time budget, batch size, learning rate.

    `coarse` and `regression` are shares of the stage spent at 4 mm, and (after that) at target time 1 only.
    """

    share: float
    batch_size: int = 1
    coarse_batch_size: int = 4
    learning_rate: float = 6e-4
    coarse: float = 0.0
    regression: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """Both stages."""

    denoiser: StageConfig = field(default_factory=lambda: StageConfig(0.7, coarse=0.2, regression=0.5))
    refiner: StageConfig = field(default_factory=lambda: StageConfig(0.3, learning_rate=4e-4))
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    ema: float = 0.999


Log = Callable[[str], None]


def batches(bank: PairBank, size: int, generator: torch.Generator, device: str) -> Iterator[Batch]:
    """Endless shuffled, augmented batches on `device`, both directions equally often."""
    while True:
        order = torch.randperm(len(bank), generator=generator).tolist()
        for start in range(0, len(order) - size + 1, size):
            targets = torch.randint(0, len(Modality), (size,), generator=generator).tolist()
            batch = make_batch(bank.get(order[start : start + size]), targets, generator)
            yield Batch(*(t.to(device) for t in batch))


def fit_subbands(model: PdsModel, samples: list[Batch]) -> None:
    """Set mean and sd of every sub-band from brain voxels of a few batches."""
    model.subbands.mean.zero_()
    model.subbands.sd.fill_(1)
    bands = torch.cat([model.subbands.split(b.images) for b in samples])
    weight = torch.cat([(band_weight(b.mask) > 0.5).float() for b in samples])[:, :, None].expand_as(bands)
    dims = (0, 3, 4, 5)
    mean = (bands * weight).sum(dims) / weight.sum(dims)
    centred = (bands - mean[None, :, :, None, None, None]) * weight
    model.subbands.mean.copy_(mean)
    model.subbands.sd.copy_((centred.square().sum(dims) / weight.sum(dims)).sqrt().clamp(min=1e-4))


def draw_times(target_B: Tensor, regression: bool, generator: torch.Generator) -> Tensor:
    """(B, M) times. Mostly clean source and noised target; a tenth joint, a tenth independent.

    A third of the target times is exactly 1: without that the one-step estimate stays behind a regression.
    """
    size = target_B.shape[0]
    u = torch.rand((size, len(Modality)), generator=generator)
    u[torch.rand(size, generator=generator) < 1 / 3] = 1.0
    if regression:
        u[:] = 1.0
    kind = torch.rand(size, generator=generator)
    if regression:
        kind[:] = 0.0
    rows = torch.arange(size)
    source = 1 - target_B.cpu()
    conditioned, joint = kind < 0.8, (kind >= 0.8) & (kind < 0.9)
    u[rows[conditioned], source[conditioned]] = 0.0
    u[rows[joint], source[joint]] = u[rows[joint], target_B.cpu()[joint]]
    return u.to(target_B.device)


def denoiser_loss(model: PdsModel, batch: Batch, regression: bool, generator: torch.Generator) -> Tensor:
    """MSE of v on standardised sub-bands plus L1 of the image estimate, on every noised modality."""
    x0 = model.subbands.split(batch.images)
    u = draw_times(batch.target, regression, generator)
    eps = torch.randn(x0.shape, generator=generator).to(x0.device)
    flat_u = u.flatten()
    x_u, v = (t.view_as(x0) for t in noised(x0.flatten(0, 1), eps.flatten(0, 1), flat_u))
    v_hat = model.denoiser(x_u, u).float()
    noisy = (u > 0).float()[:, :, None, None, None, None]
    v_loss = weighted_mean((v_hat - v).square(), band_weight(batch.mask)[:, None] * noisy)
    x0_hat = x0_from_v(x_u.flatten(0, 1), v_hat.flatten(0, 1), flat_u).view_as(x0)
    error = (model.subbands.merge(x0_hat) - batch.images).abs()
    return v_loss + 2.0 * weighted_mean(error, voxel_weight(batch.mask) * noisy[..., 0])


def refiner_loss(model: PdsModel, batch: Batch) -> Tensor:
    """L1 + 0.5 MSE + tissue cross-entropy + gradient difference, and the likelihood of the error's scale."""
    bands = model.subbands.split(batch.images)
    with torch.no_grad():
        estimate, source = one_step_estimate(model.denoiser, bands, batch.target)
    refined = model.refiner(estimate, source, torch.zeros_like(estimate), batch.target)
    rows = torch.arange(len(batch.target), device=estimate.device)
    image = model.subbands.merge_one(refined.bands_BKXYZ.float(), batch.target)
    truth, weight = batch.images[rows, batch.target][:, None], voxel_weight(batch.mask)
    error = image - truth
    log_scale = blocks_to_voxels(refined.log_scale_BKXYZ.float()).clamp(-7, 2)
    tissue = sum(
        tissue_cross_entropy(t.float(), batch.tissue, band_weight(batch.mask)) for t in refined.tissue_logits
    )
    return (
        weighted_mean(error.abs(), weight)
        + 0.5 * weighted_mean(error.square(), weight)
        + 0.05 * tissue
        + 0.1 * gradient_difference(image * batch.mask, truth * batch.mask)
        + 0.05 * weighted_mean(laplace_nll(error.detach(), log_scale), weight)
    )


def run_stage(
    model: PdsModel,
    network: nn.Module,
    loss: Callable[[float], Tensor],
    stage: StageConfig,
    config: TrainingConfig,
    minutes: float,
    log: Log,
) -> nn.Module:
    """Minimise `loss(progress)` over the parameters of `network` for a time; returns its moving average.

    Raises
    ------
    PdsError
        When the loss is not finite.
    """
    ema = Ema(network, config.ema)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=stage.learning_rate, weight_decay=config.weight_decay
    )
    device = next(network.parameters()).device.type
    start, step, recent = time.monotonic(), 0, 0.0
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        rate = min(1.0, (step + 1) / config.warmup_steps) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = stage.learning_rate * rate
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            value = loss(progress)
        if not torch.isfinite(value):
            raise PdsError(
                f"training stopped at step {step}: the loss is {value.item()}; lower learning_rate"
            )
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        ema.update(network)
        step, recent = step + 1, 0.98 * recent + 0.02 * value.item()
        if step % 50 == 0:
            corrected = recent / (1 - 0.98**step)
            log(
                f"step {step} progress {progress:.3f} loss {corrected:.4f} minutes {(time.monotonic() - start) / 60:.1f}"
            )
    return ema.network


def train(
    model: PdsModel,
    bank: PairBank,
    config: TrainingConfig,
    minutes: float,
    seed: int,
    log: Log,
    save: Callable[[], None],
) -> None:
    """Both stages, in place: `model` ends with the averaged weights. `save` is called after each stage."""
    generator = torch.Generator().manual_seed(seed)
    device = str(next(model.parameters()).device)
    stage = config.denoiser
    feed = batches(bank, stage.batch_size, generator, device)
    few = [next(feed) for _ in range(24)]
    fit_subbands(model, [halved(b) for b in few])
    for network in (model.denoiser, model.refiner):
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    coarse_feed = batches(bank, stage.coarse_batch_size, generator, device)
    was_coarse = stage.coarse > 0

    def first(progress: float) -> Tensor:
        nonlocal was_coarse
        if progress < stage.coarse:
            return denoiser_loss(model, halved(next(coarse_feed)), True, generator)
        if was_coarse:
            fit_subbands(model, few)
            was_coarse = False
        return denoiser_loss(model, next(feed), progress < stage.coarse + stage.regression, generator)

    if not was_coarse:
        fit_subbands(model, few)
    model.denoiser = run_stage(model, model.denoiser, first, stage, config, minutes * stage.share, log)  # type: ignore[assignment]
    save()
    feed = batches(bank, config.refiner.batch_size, generator, device)
    model.refiner = run_stage(  # type: ignore[assignment]
        model,
        model.refiner,
        lambda _: refiner_loss(model, next(feed)),
        config.refiner,
        config,
        minutes * config.refiner.share,
        log,
    )
    save()
