"""Noise schedules, what networks predict on them, and the sampler.

x_u = alpha(u) x_0 + sigma(u) eps, u in [0, 1].
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from pds_bids.core.config import Sampler


class Schedule(ABC):
    """How much noise there is at a time, and what is predicted of it.

    Times `u` have the first axes of the images they belong to: (B,) for (B, ...), (B, M) for (B, M, ...).
    """

    @abstractmethod
    def alpha_sigma(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise amplitude at times `u` (any shape, in [0, 1])."""

    @abstractmethod
    def shown(self, u: Tensor) -> Tensor:
        """What a network's view of x_u is multiplied by, shaped as `u`."""

    @abstractmethod
    def answer(self, x0: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        """What a network should say of x_u, shaped as `x0`."""

    @abstractmethod
    def solve(self, x_u: Tensor, answer: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 and eps from what a network says of x_u, shaped as `x_u`."""

    @abstractmethod
    def times(self, steps: int) -> list[float]:
        """Where the sampler calls the network, latest first; noise is what it starts from."""

    def noised(self, x0: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        """x_u, shaped as `x0`."""
        alpha, sigma = self.amplitudes(u, x0)
        return alpha * x0 + sigma * eps

    def amplitudes(self, u: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """`alpha_sigma`, shaped to multiply `like`."""
        alpha, sigma = (a.view(*u.shape, *[1] * (like.ndim - u.ndim)) for a in self.alpha_sigma(u))
        return alpha, sigma


class CosineV(Schedule):
    """alpha = cos(pi u / 2), sigma = sin(pi u / 2); v = alpha eps - sigma x_0 is predicted.

    The velocity of Salimans & Ho 2022 on the cosine schedule with zero terminal signal-to-noise ratio (Lin
    2024): at u = 1 the prediction is -x_0, so that one step is a regression.
    """

    def alpha_sigma(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise amplitude."""
        angle = u * (math.pi / 2)
        # In single precision cos(pi / 2) is -4e-8: clamped, so that nothing is left of the signal at u = 1.
        return torch.cos(angle).clamp(min=0), torch.sin(angle)

    def shown(self, u: Tensor) -> Tensor:
        """The share alpha / sqrt(alpha^2 + 0.01): nothing at u = 1, where the estimate depends on no seed."""
        alpha, _ = self.alpha_sigma(u)
        return alpha * torch.rsqrt(alpha.square() + 0.01)

    def answer(self, x0: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        """The velocity v."""
        alpha, sigma = self.amplitudes(u, x0)
        return alpha * eps - sigma * x0

    def solve(self, x_u: Tensor, answer: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 = alpha x_u - sigma v; eps = sigma x_u + alpha v."""
        alpha, sigma = self.amplitudes(u, x_u)
        return alpha * x_u - sigma * answer, sigma * x_u + alpha * answer

    def times(self, steps: int) -> list[float]:
        """Trailing: 1, 1 - 1/steps, ..., 1/steps."""
        return [k / steps for k in range(steps, 0, -1)]


class ClippedCosineEps(Schedule):
    """The published schedule: Nichol & Dhariwal's cosine with beta <= .999, T = 1000; eps is predicted."""

    T = 1000

    def __init__(self) -> None:
        t = torch.arange(self.T + 1, dtype=torch.float64) / self.T
        wave = torch.cos((t + 0.008) / 1.008 * (math.pi / 2)).square()
        beta = (1 - wave[1:] / wave[:-1]).clamp(max=0.999)
        self.alpha_bar_T = torch.cat([torch.ones(1), torch.cumprod(1 - beta, 0)])

    def alpha_sigma(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the nearest of T steps."""
        alpha_bar = self.alpha_bar_T.to(u.device)[(u * self.T).round().long()]
        return alpha_bar.sqrt().to(u.dtype), (1 - alpha_bar).sqrt().to(u.dtype)

    def shown(self, u: Tensor) -> Tensor:
        """All of it."""
        return torch.ones_like(u)

    def answer(self, x0: Tensor, eps: Tensor, u: Tensor) -> Tensor:
        """The noise."""
        return eps

    def solve(self, x_u: Tensor, answer: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 = (x_u - sigma eps) / alpha, within six standard deviations."""
        alpha, sigma = self.amplitudes(u, x_u)
        return ((x_u - sigma * answer) / alpha).clamp(-6, 6), answer

    def times(self, steps: int) -> list[float]:
        """Leading: 1 - 1/steps, ..., 1/steps. At 1, eps says nothing of x_0: one step is the call of two."""
        steps = max(steps, 2)
        return [k / steps for k in range(steps - 1, 0, -1)]


def sample(
    schedule: Schedule,
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    steps: int,
    sampler: Sampler = Sampler.DDIM,
) -> Tensor:
    """Deterministic DDIM (Song 2021, eta = 0), or DPM-Solver++(2M) (Lu 2022).

    The second takes x_0 on along the line through the last two estimates, save where half the logarithm of
    the signal-to-noise ratio is infinite at one of three times: in the last step, and in two steps from 1.

    Parameters
    ----------
    predict
        (x_u, u) -> what the schedule has networks say, u of shape (B,).
    noise
        (B, ...) standard normal.
    steps
        At least 1.

    Returns
    -------
    Tensor
        x_0, shaped as `noise`.
    """
    x, times = noise, schedule.times(steps)
    before: tuple[float, Tensor] | None = None
    for now, then in zip(times, [*times[1:], 0.0], strict=True):
        u = torch.full((noise.shape[0],), now, device=noise.device)
        x0, eps = schedule.solve(x, predict(x, u), u)
        estimate = x0
        if sampler is Sampler.DPM and before is not None and before[0] < 1 and then > 0:
            earlier, last = before
            weight = 0.5 * _log_snr(schedule, now, then) / _log_snr(schedule, earlier, now)
            alpha, sigma = schedule.amplitudes(u, x)
            estimate = x0 + weight * (x0 - last)
            eps = (x - alpha * estimate) / sigma
        before = now, x0
        x = schedule.noised(estimate, eps, torch.full_like(u, then))
    return x


def _log_snr(schedule: Schedule, now: float, then: float) -> float:
    """How much half the logarithm of the signal-to-noise ratio grows from one time to another."""
    alpha, sigma = schedule.alpha_sigma(torch.tensor([now, then], dtype=torch.float64))
    at_now, at_then = (alpha.log() - sigma.log()).tolist()
    return float(at_then - at_now)
