"""The two stages as modules: given a step and the rows of its batch, they say the loss.

A module holds the whole model, of which the `network` alone learns; `DistributedDataParallel` wraps it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from pds_bids.core.modality import Modality
from pds_bids.models.denoiser import point_estimate
from pds_bids.models.microstructure import MicrostructureLoss
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.data import Batch, halved, make_batch
from pds_bids.training.feed import Feed
from pds_bids.training.objectives import Draws, denoiser_loss, refiner_loss
from pds_bids.training.pattern_loss import PatternLoss
from pds_bids.training.recipe import StageConfig
from pds_bids.training.statistics import Statistics, first_pairs

DRAWS = (1, 4)
"""Draws that the refiner sees the mean of; the first has no spread."""


class Objective(nn.Module, ABC):
    """What a stage minimises.

    Parameters
    ----------
    model
        Ends with nothing but the network of the stage learning.
    """

    def __init__(self, model: PdsModel, feed: Feed, stage: StageConfig) -> None:
        super().__init__()
        self.model, self.feed, self.stage = model, feed, stage
        model.requires_grad_(False)
        self.network.requires_grad_(True)

    @property
    def network(self) -> nn.Module:
        """What learns: stages are called after it."""
        return self.model.get_submodule(self.feed.stage)

    def batch_size(self, progress: float) -> int:
        """Rows of a whole batch at this share of the stage."""
        return self.stage.batch_size

    def conclude(self) -> None:
        """Leave the model as the next stage needs it; called when the stage is done."""

    @abstractmethod
    def forward(self, step: int, rows: range, progress: float) -> Tensor:
        """Mean loss of the given rows of the batch of a step."""

    @abstractmethod
    def estimate(self, network: Any, batch: Batch) -> Tensor:
        """(B, 1, X, Y, Z) what a network of this stage makes of a batch."""

    def shown(self, progress: float) -> Batch:
        """The first pair in both directions, as it is."""
        both = list(range(len(Modality)))
        return make_batch(self.feed.pairs.get([0] * len(both)), both, None).to(self.feed.device)

    @torch.no_grad()
    def look(self, network: nn.Module, progress: float) -> Tensor:
        """(M, 3, X, Y, Z) source, target and estimate of the first pair, by the target's modality."""
        batch = self.shown(progress)
        rows = torch.arange(len(batch.target), device=batch.target.device)
        pair = batch.images[rows, 1 - batch.target], batch.images[rows, batch.target]
        return torch.stack([*pair, self.estimate(network, batch)[:, 0]], dim=1)


class DenoiserObjective(Objective):
    """At 4 mm, then at target time 1 only, then at all times.

    The sub-bands are standardised for the resolution they have.
    """

    def __init__(
        self, model: PdsModel, feed: Feed, stage: StageConfig, pattern: PatternLoss | None = None
    ) -> None:
        super().__init__(model, feed, stage)
        self.pattern = pattern
        few, transform = first_pairs(feed), model.subbands.transform
        self.statistics = Statistics.of(few, transform), Statistics.of(halved(few), transform)

    def _coarse(self, progress: float) -> bool:
        return progress < self.stage.coarse

    def batch_size(self, progress: float) -> int:
        """That of the resolution."""
        return self.stage.coarse_batch_size if self._coarse(progress) else self.stage.batch_size

    def conclude(self) -> None:
        """From now on at 2 mm, even if no step was."""
        self.statistics[False].standardise(self.model)

    def _as_fine_as_now(self, batch: Batch, progress: float) -> Batch:
        coarse = self._coarse(progress)
        self.statistics[coarse].standardise(self.model)
        return halved(batch) if coarse else batch

    def forward(self, step: int, rows: range, progress: float) -> Tensor:
        """`denoiser_loss`."""
        whole, generators = self.feed.batch(step, self.batch_size(progress), rows)
        batch = self._as_fine_as_now(whole, progress)
        regression = progress < self.stage.coarse + self.stage.regression
        return denoiser_loss(self.model, batch, regression, generators, self.pattern)

    def shown(self, progress: float) -> Batch:
        """At the resolution of the moment."""
        return self._as_fine_as_now(super().shown(progress), progress)

    def estimate(self, network: Any, batch: Batch) -> Tensor:
        """One step."""
        context = self.model.context(batch.t1w, batch.has_t1w)
        sources = self.model.subbands.split(batch.images)
        bands, _ = point_estimate(network, sources, batch.target, context)
        return self.model.subbands.merge_one(bands, batch.target)


class RefinerObjective(Objective):
    """The same at every progress: mostly the one-step estimate is refined, in some steps a mean of draws."""

    def __init__(
        self, model: PdsModel, feed: Feed, stage: StageConfig, microstructure: MicrostructureLoss | None
    ) -> None:
        super().__init__(model, feed, stage)
        self.microstructure = None if microstructure is None else microstructure.to(feed.device)

    def draws(self, step: int) -> Draws | None:
        """What is refined in a step: it follows from the seed."""
        generator = self.feed.generator(step, "draws")
        if torch.rand((), generator=generator) >= self.stage.draws:
            return None
        number = DRAWS[int(torch.randint(len(DRAWS), (), generator=generator))]
        return Draws(number, self.stage.draw_steps)

    def forward(self, step: int, rows: range, progress: float) -> Tensor:
        """`refiner_loss`."""
        batch, generators = self.feed.batch(step, self.stage.batch_size, rows)
        return refiner_loss(self.model, batch, generators, self.microstructure, self.draws(step))

    def estimate(self, network: Any, batch: Batch) -> Tensor:
        """The one-step estimate, refined."""
        bands = self.model.subbands.split(batch.images)
        context = self.model.context(batch.t1w, batch.has_t1w)
        estimate, source = point_estimate(self.model.denoiser, bands, batch.target, context)
        refined = network(estimate, source, torch.zeros_like(estimate), batch.target, context)
        return self.model.subbands.merge_one(refined.bands_BKXYZ, batch.target)
