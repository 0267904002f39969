"""Noise schedule and sampler.

x_u = alpha(u) x_0 + sigma(u) eps with alpha = cos(pi u / 2), sigma = sin(pi u / 2), u in [0, 1]: the cosine
schedule with zero terminal signal-to-noise ratio (Lin 2024). Networks predict v = alpha eps - sigma x_0
(Salimans & Ho 2022), so that at u = 1 the prediction is -x_0: one step is a regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def alpha_sigma(u: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise amplitude at times `u` (any shape, in [0, 1])."""
    angle = u * (math.pi / 2)
    # In single precision cos(pi / 2) is -4e-8: clamped, so that nothing is left of the signal at u = 1.
    return torch.cos(angle).clamp(min=0), torch.sin(angle)


def _amplitudes(u_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    return alpha_sigma(u_B.view(-1, *[1] * (like.ndim - 1)))


def noised(x0: Tensor, eps: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """x_u and its v.

    Parameters
    ----------
    x0, eps
        (B, ...)
    u
        (B,)

    Returns
    -------
    x_u, v
        Shaped as `x0`.
    """
    alpha, sigma = _amplitudes(u, x0)
    return alpha * x0 + sigma * eps, alpha * eps - sigma * x0


def x0_from_v(x_u: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """x_0 = alpha x_u - sigma v."""
    alpha, sigma = _amplitudes(u, x_u)
    return alpha * x_u - sigma * v


def eps_from_v(x_u: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """The noise, sigma x_u + alpha v."""
    alpha, sigma = _amplitudes(u, x_u)
    return sigma * x_u + alpha * v


def ddim(predict_v: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Deterministic DDIM (Song 2021, eta = 0) over trailing timesteps 1, 1 - 1/steps, ..., 1/steps.

    Parameters
    ----------
    predict_v
        (x_u, u) -> v, u of shape (B,).
    noise
        (B, ...) standard normal: the state at u = 1.
    steps
        Number of network calls; one gives the regression estimate.

    Returns
    -------
    Tensor
        x_0, shaped as `noise`.
    """
    x = noise
    for k in range(steps, 0, -1):
        u = torch.full((noise.shape[0],), k / steps, device=noise.device)
        v = predict_v(x, u)
        x0, eps = x0_from_v(x, v, u), eps_from_v(x, v, u)
        x, _ = noised(x0, eps, u - 1 / steps)
    return x
