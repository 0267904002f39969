"""One step of learning: gradients of a batch that may be cut and shared, AdamW, and the moving average."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import nn

from pds_bids.core.errors import PdsError
from pds_bids.models.blocks import UNet
from pds_bids.training.distributed import Team, keep_to_itself
from pds_bids.training.ema import Ema
from pds_bids.training.recipe import TrainingConfig
from pds_bids.training.stages import Objective


class Learner:
    """The network of an objective while it learns.

    Attributes
    ----------
    steps
        How many are done.
    ema
        What the stage ends with.
    """

    def __init__(self, objective: Objective, config: TrainingConfig, team: Team) -> None:
        self.objective, self.config, self.team = objective, config, team
        self.network, self.steps = objective.network, 0
        for module in self.network.modules():
            if isinstance(module, UNet):
                module.checkpointing = objective.stage.checkpointing
        self.optimiser = torch.optim.AdamW(self.network.parameters(), weight_decay=config.weight_decay)
        self.ema = Ema(self.network, config.ema)
        self._shared = team.learner(objective)

    def learning_rate(self, progress: float) -> float:
        """Linear warm-up over the first steps, and half a cosine over the stage."""
        warm_up = min(1.0, (self.steps + 1) / self.config.warmup_steps)
        return self.objective.stage.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress))

    def step(self, progress: float) -> float:
        """Learn from the next batch; its mean loss over all processes.

        Raises
        ------
        PdsError
            In every process, if the loss of any or a gradient is not finite; the weights are as before.
        """
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._backward(progress)
        self._require_finite("loss", loss)
        # All processes have the same gradients, and of a finite loss they may still overflow.
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._require_finite("size of the gradient", norm.item())
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(progress)
        self.optimiser.step()
        self.ema.update(self.network)
        self.steps += 1
        return loss

    def _require_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            where = f"{self.objective.feed.stage}, step {self.steps}"
            raise PdsError(f"training: the {name} is {value} ({where}); lower learning_rate")

    def _backward(self, progress: float) -> float:
        rows = self.team.rows(self.objective.batch_size(progress))
        length = math.ceil(len(rows) / self.objective.stage.accumulate)
        parts = [rows[start : start + length] for start in range(0, len(rows), length)]
        total = torch.zeros((), device=self.objective.feed.device)
        for part in parts:
            with nullcontext() if part is parts[-1] else keep_to_itself(self._shared):
                with torch.autocast(total.device.type, torch.bfloat16, enabled=self.config.bf16):
                    loss = self._shared(self.steps, part, progress) * (len(part) / len(rows))
                loss.backward()
            total += loss.detach()
        return self.team.mean(total)
