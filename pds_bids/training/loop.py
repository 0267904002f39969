"""The two training stages: first the denoiser, then the refiner on the outputs of the frozen denoiser.

Budgets are in minutes, because that is what a lab has; schedules follow the elapsed share of the budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from pds_bids.core.errors import PdsError
from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import PdsModel
from pds_bids.models.denoiser import BANDS
from pds_bids.models.losses import band_weight
from pds_bids.models.microstructure import MicrostructureLoss, MrConfig, load_microstructure
from pds_bids.models.wavelet import haar
from pds_bids.training.data import Batch, Pairs, halved, make_batch
from pds_bids.training.ema import Ema
from pds_bids.training.objectives import denoiser_loss, refiner_loss
from pds_bids.training.pattern_loss import PatternLoss

Log = Callable[[str], None]
Network = TypeVar("Network", bound=nn.Module)

N_STATISTICS = 24
"""Pairs that the mean and sd of the sub-bands are taken from."""


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
    """Both stages, and what the second one compares microstructure by."""

    denoiser: StageConfig = field(default_factory=lambda: StageConfig(0.7, coarse=0.2, regression=0.5))
    refiner: StageConfig = field(default_factory=lambda: StageConfig(0.3, learning_rate=4e-4))
    mr: MrConfig = field(default_factory=MrConfig)
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    ema: float = 0.999


def batches(pairs: Pairs, size: int, generator: torch.Generator, device: str) -> Iterator[Batch]:
    """Endless shuffled, augmented batches on `device`, both directions equally often.

    Parameters
    ----------
    size
        Pairs in a batch; all of them where there are fewer.
    """
    size = min(size, len(pairs))
    while True:
        order = torch.randperm(len(pairs), generator=generator).tolist()
        for start in range(0, len(order) - size + 1, size):
            targets = torch.randint(0, len(Modality), (size,), generator=generator).tolist()
            yield make_batch(pairs.get(order[start : start + size]), targets, [generator] * size).to(device)


def subband_statistics(images_BMXYZ: Tensor, mask_B1XYZ: Tensor) -> tuple[Tensor, Tensor]:
    """(M, 8) mean and sd of every sub-band over the brain voxels of images of M kinds."""
    bands = haar(images_BMXYZ).unflatten(1, (-1, BANDS))
    weight = (band_weight(mask_B1XYZ) > 0.5).float()[:, :, None].expand_as(bands)
    dims = (0, 3, 4, 5)
    mean = (bands * weight).sum(dims) / weight.sum(dims)
    centred = (bands - mean[None, :, :, None, None, None]) * weight
    return mean, (centred.square().sum(dims) / weight.sum(dims)).sqrt().clamp(min=1e-4)


def standardise(model: PdsModel, batch: Batch) -> None:
    """Set the statistics of all sub-bands to those of a large batch, of the resolution to come."""
    model.subbands.standardise(*subband_statistics(batch.images, batch.mask))
    if (has := batch.has_t1w).any():
        model.t1w_subbands.standardise(*subband_statistics(batch.t1w[has], batch.mask[has]))


def run_stage(
    network: Network,
    loss: Callable[[float], Tensor],
    stage: StageConfig,
    config: TrainingConfig,
    minutes: float,
    log: Log,
) -> Network:
    """Minimise `loss(progress)` over the parameters of `network` for a time; returns its moving average.

    Parameters
    ----------
    loss
        Of the share of the time that has passed, in [0, 1).
    minutes
        For both stages; this one takes its share.

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
    while (progress := (time.monotonic() - start) / (60 * minutes * stage.share)) < 1:
        warm_up = min(1.0, (step + 1) / config.warmup_steps)
        for group in optimiser.param_groups:
            group["lr"] = stage.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress))
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            value = loss(progress)
        if not torch.isfinite(value):
            raise PdsError(f"training: the loss is {value.item()} at step {step}; lower learning_rate")
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        ema.update(network)
        step, recent = step + 1, 0.98 * recent + 0.02 * value.item()
        if step % 50 == 0:
            log(f"step {step} progress {progress:.3f} loss {recent / (1 - 0.98**step):.4f}")
    return ema.network


def train(
    model: PdsModel,
    pairs: Pairs,
    config: TrainingConfig,
    minutes: float,
    seed: int,
    log: Log,
    save: Callable[[], None],
    pattern: PatternLoss | None = None,
) -> None:
    """Both stages, in place: `model` ends with the averaged weights. `save` is called after each stage."""
    microstructure = load_microstructure(config.mr)
    generator = torch.Generator().manual_seed(seed)
    for network in (model.denoiser, model.refiner):
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # not in the stubs
    loss = denoiser_objective(model, pairs, config.denoiser, generator, pattern)
    model.denoiser = run_stage(model.denoiser, loss, config.denoiser, config, minutes, log)
    save()
    loss = refiner_objective(model, pairs, config.refiner, microstructure, generator)
    model.refiner = run_stage(model.refiner, loss, config.refiner, config, minutes, log)
    save()


def denoiser_objective(
    model: PdsModel,
    pairs: Pairs,
    stage: StageConfig,
    generator: torch.Generator,
    pattern: PatternLoss | None = None,
) -> Callable[[float], Tensor]:
    """The loss of the first stage by progress: at 4 mm, then at target time 1 only, then at all times.

    The sub-bands are standardised for the resolution they have.
    """
    device = str(model.templates.device)
    feed = batches(pairs, stage.batch_size, generator, device)
    coarse_feed = batches(pairs, stage.coarse_batch_size, generator, device)
    n_few = -(-min(N_STATISTICS, len(pairs)) // stage.batch_size)
    few = Batch(*(torch.cat(tensors) for tensors in zip(*islice(feed, n_few), strict=True)))
    standardise(model, halved(few) if stage.coarse else few)
    fine = not stage.coarse

    def loss(progress: float) -> Tensor:
        nonlocal fine
        if not fine and progress >= stage.coarse:
            standardise(model, few)
            fine = True
        batch = next(feed) if fine else halved(next(coarse_feed))
        return denoiser_loss(model, batch, progress < stage.coarse + stage.regression, generator, pattern)

    return loss


def refiner_objective(
    model: PdsModel,
    pairs: Pairs,
    stage: StageConfig,
    microstructure: MicrostructureLoss | None,
    generator: torch.Generator,
) -> Callable[[float], Tensor]:
    """The loss of the second stage, the same at every progress."""
    device = str(model.templates.device)
    feed = batches(pairs, stage.batch_size, generator, device)
    compare = None if microstructure is None else partial(microstructure.to(device), generator=generator)
    return lambda _: refiner_loss(model, next(feed), compare)
