"""Exponential moving average of weights: what is evaluated and what ships."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """A slowly following copy of a network.

    The decay rises from 0.1 to `decay` over the first steps, so that the copy forgets the initial weights.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """One step towards `network`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for slow, fast in zip(self.network.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
