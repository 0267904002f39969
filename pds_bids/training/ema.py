"""Exponential moving average of weights: what is evaluated and what ships."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """A slowly following copy of a network.

    The decay rises from 2 / 11 to `decay`, so that the copy soon forgets the initial weights.
    """

    def __init__(self, network: Network, decay: float = 0.999) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """One step towards `network`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for slow, fast in zip(self.network.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
