from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.config import Sampler
from pds_bids.models.schedule import ClippedCosineEps, CosineV, Schedule, sample

COSINE = CosineV()
SCHEDULES = pytest.mark.parametrize("schedule", [COSINE, ClippedCosineEps()], ids=lambda s: type(s).__name__)

times = st.lists(st.floats(0, 1), min_size=1, max_size=4).map(torch.tensor)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@SCHEDULES
@given(times)
def test_variance_is_kept(schedule: Schedule, u):
    alpha, sigma = schedule.alpha_sigma(u)

    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(u))


def test_the_ends_are_exact():
    alpha, sigma = COSINE.alpha_sigma(torch.tensor([0.0, 1.0]))

    assert alpha.tolist() == [1.0, 0.0]  # zero terminal signal-to-noise ratio
    assert sigma.tolist() == [0.0, 1.0]


@SCHEDULES
@given(times)
def test_noise_only_grows(schedule: Schedule, u):
    u = u.double().sort().values
    alpha, sigma = schedule.alpha_sigma(u)

    assert (alpha.diff() <= 0).all()
    assert (sigma.diff() >= 0).all()


@SCHEDULES
@given(st.lists(st.floats(0, 0.95), min_size=1, max_size=4).map(torch.tensor))
def test_the_right_answer_gives_back_signal_and_noise(schedule: Schedule, u):
    u = u.double()
    x0, eps = draw(len(u), 3, 2), draw(len(u), 3, 2, seed=1)

    solved = schedule.solve(schedule.noised(x0, eps, u), schedule.answer(x0, eps, u), u)

    torch.testing.assert_close(solved, (x0, eps))


def test_v_of_a_known_time_by_hand():
    x0, eps, u = torch.tensor([2.0]), torch.tensor([4.0]), torch.tensor([0.5])

    assert COSINE.noised(x0, eps, u).item() == pytest.approx(6 / math.sqrt(2))
    assert COSINE.answer(x0, eps, u).item() == pytest.approx(2 / math.sqrt(2))


@SCHEDULES
@pytest.mark.parametrize("sampler", Sampler)
@pytest.mark.parametrize("steps", [1, 2, 5, 8, 50])
def test_a_known_signal_is_found(schedule: Schedule, steps, sampler):
    x0 = draw(2, 5)

    def truth(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        alpha, sigma = schedule.amplitudes(u.double(), x_u)
        return schedule.answer(x0, (x_u - alpha * x0) / sigma, u.double())

    found = sample(schedule, truth, draw(2, 5, seed=1), steps, sampler)

    torch.testing.assert_close(found, x0, rtol=0, atol=1e-4)


def test_the_second_order_converges_faster():
    """Of normal data with standard deviation s, the ODE takes noise z to s z."""
    s, noise = 0.3, draw(1, 100)

    def v_of_normal_data(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        alpha, sigma = COSINE.amplitudes(u.double(), x_u)
        x0 = alpha * s**2 * x_u / (alpha**2 * s**2 + sigma**2)
        eps = sigma * x_u / (alpha**2 * s**2 + sigma**2)
        return COSINE.answer(x0, eps, u.double())

    def error(sampler: Sampler, steps: int) -> float:
        return (sample(COSINE, v_of_normal_data, noise, steps, sampler) / noise - s).abs().max().item()

    assert error(Sampler.DDIM, 64) == pytest.approx(error(Sampler.DDIM, 32) / 2, rel=0.05)
    for steps in (16, 32, 64, 128):
        assert error(Sampler.DPM, steps) < 0.3 * error(Sampler.DDIM, steps)


def test_the_published_schedule_is_that_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")

    alpha, _ = ClippedCosineEps().alpha_sigma(torch.arange(1, 1001, dtype=torch.float64) / 1000)

    torch.testing.assert_close(alpha.square(), scheduler.alphas_cumprod.double(), rtol=1e-3, atol=1e-6)


def test_one_step_is_the_regression_estimate():
    asked = []

    def predict_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        asked.append(u.tolist())
        return x_u.sin()

    noise = draw(2, 5)

    assert torch.equal(sample(COSINE, predict_v, noise, 1), -noise.sin())
    assert asked == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("schedule", "expected"), [(COSINE, [1.0, 0.75, 0.5, 0.25]), (ClippedCosineEps(), [0.75, 0.5, 0.25])]
)
def test_timesteps_trail_or_lead(schedule, expected):
    asked = []

    def predict_v(x_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        asked.append(u.item())
        return x_u

    sample(schedule, predict_v, draw(1, 2), 4)

    assert asked == expected


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

    torch.testing.assert_close(sample(COSINE, predict_v, noise, steps), expected, rtol=0, atol=1e-5)
