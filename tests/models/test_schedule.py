from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.models.schedule import alpha_sigma, ddim, eps_from_v, noised, x0_from_v

times = st.lists(st.floats(0, 1), min_size=1, max_size=4).map(torch.tensor)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(times)
def test_variance_is_kept(u):
    alpha, sigma = alpha_sigma(u)

    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(u))


def test_the_ends_are_exact():
    alpha, sigma = alpha_sigma(torch.tensor([0.0, 1.0]))

    assert alpha.tolist() == [1.0, 0.0]  # zero terminal signal-to-noise ratio
    assert sigma.tolist() == [0.0, 1.0]


@given(times)
def test_noise_only_grows(u):
    u = u.double().sort().values
    alpha, sigma = alpha_sigma(u)

    assert (alpha.diff() <= 0).all()
    assert (sigma.diff() >= 0).all()


@given(times)
def test_x_and_v_give_back_signal_and_noise(u):
    u = u.double()
    x0, eps = draw(len(u), 3, 2), draw(len(u), 3, 2, seed=1)

    x_u, v = noised(x0, eps, u)

    torch.testing.assert_close(x0_from_v(x_u, v, u), x0)
    torch.testing.assert_close(eps_from_v(x_u, v, u), eps)


def test_v_of_a_known_time_by_hand():
    x_u, v = noised(torch.tensor([2.0]), torch.tensor([4.0]), torch.tensor([0.5]))

    assert x_u.item() == pytest.approx(6 / math.sqrt(2))
    assert v.item() == pytest.approx(2 / math.sqrt(2))


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 50])
def test_ddim_finds_a_known_signal(steps):
    x0, noise = draw(2, 5), draw(2, 5, seed=1)

    def true_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        alpha, sigma = (a[:, None] for a in alpha_sigma(u))
        return (alpha * x_u - x0) / sigma

    torch.testing.assert_close(ddim(true_v, noise, steps), x0, rtol=0, atol=1e-5)


def test_one_step_is_the_regression_estimate():
    asked = []

    def predict_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        asked.append(u.tolist())
        return x_u.sin()

    noise = draw(2, 5)

    assert torch.equal(ddim(predict_v, noise, 1), -noise.sin())
    assert asked == [[1.0, 1.0]]


def test_timesteps_trail():
    asked = []

    def predict_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        asked.append(u.item())
        return x_u

    ddim(predict_v, draw(1, 2), 4)

    assert asked == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("steps", [1, 2, 8, 50])
def test_diffusers_agrees(steps):
    diffusers = pytest.importorskip("diffusers")
    n = 1000
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=n,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.alphas_cumprod = torch.cos(torch.arange(1, n + 1, dtype=torch.float64) / n * math.pi / 2) ** 2
    scheduler.set_timesteps(steps)

    def predict_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x_u * (1 + u[:, None])) - 0.3 * x_u

    expected = noise = draw(2, 20)
    for t in scheduler.timesteps:
        u = ((t + 1) / n).expand(2)
        expected = scheduler.step(predict_v(expected, u), t, expected, eta=0.0).prev_sample

    torch.testing.assert_close(ddim(predict_v, noise, steps), expected, rtol=0, atol=1e-5)
