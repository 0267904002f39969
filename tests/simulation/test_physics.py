from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.physics import (
    PROPERTY_SD,
    TABLE,
    dropout_attenuation,
    gre_approach,
    gre_signal,
    mprage_signal,
    powder_attenuation,
    rician_mean,
    spin_echo_signal,
    t1_contrast,
    tissue_properties,
    trace_signal,
)

TISSUE = tissue_properties()


def relative(signal: torch.Tensor, structure: Structure) -> float:
    return float(signal[structure] / signal[Structure.CORTEX])


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (Structure.WHITE, 0.82),
        (Structure.CSF, 1.19),
        (Structure.PUTAMEN, 0.75),
        (Structure.PALLIDUM, 0.53),
    ],
)
def test_bold_contrast(structure, expected):
    signal = gre_signal(TISSUE, tr_ms=3000, te_ms=30, flip_deg=90)

    assert relative(signal, structure) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [(Structure.WHITE, 0.90), (Structure.CSF, 0.40), (Structure.PALLIDUM, 0.37)],
)
def test_trace_contrast(structure, expected):
    signal = trace_signal(TISSUE, tr_ms=9000, te_ms=85, b_value=1000)

    assert relative(signal, structure) == pytest.approx(expected, abs=0.02)


def test_csf_is_bright_without_diffusion_weighting_and_cancels_in_the_mean_of_everything():
    b0 = spin_echo_signal(TISSUE, tr_ms=9000, te_ms=85)
    shell = trace_signal(TISSUE, tr_ms=9000, te_ms=85, b_value=1000)

    assert relative(b0, Structure.CSF) == pytest.approx(3.39, abs=0.02)
    assert relative((6 * b0 + 48 * shell) / 54, Structure.CSF) == pytest.approx(1.07, abs=0.02)


@pytest.mark.parametrize(("flip_deg", "tr_ms"), [(90, 3000), (50, 607)])
def test_gradient_echo_is_a_steady_state(flip_deg, tr_ms):
    """Iterate the Bloch equations pulse by pulse, transverse magnetisation spoiled, until nothing changes."""
    flip, e1 = math.radians(flip_deg), torch.exp(-tr_ms / TISSUE.t1)
    longitudinal = torch.ones_like(e1)
    for _ in range(200):
        longitudinal = 1 - (1 - longitudinal * math.cos(flip)) * e1
    expected = TISSUE.pd * longitudinal * math.sin(flip) * torch.exp(-30 / TISSUE.t2_star)

    torch.testing.assert_close(gre_signal(TISSUE, tr_ms, 30, flip_deg), expected)


@pytest.mark.parametrize("b_value", [0, 700, 1000, 2500])
def test_powder_mean_agrees_with_integration_over_directions(b_value):
    nodes, weights = np.polynomial.legendre.leggauss(64)
    cosine, weight = (nodes + 1) / 2, weights / 2
    md, fa = TISSUE.md.double().numpy(), TISSUE.fa.double().numpy()
    d = fa / np.sqrt(3 - 2 * fa**2)
    along, across = md * (1 + 2 * d), md * (1 - d)
    apparent = across[:, None] + (along - across)[:, None] * cosine**2
    expected = np.exp(-b_value * apparent) @ weight

    np.testing.assert_allclose(powder_attenuation(TISSUE, b_value), expected, rtol=1e-4)


def test_the_tensor_has_the_tabulated_mean_and_anisotropy():
    """FA of the eigenvalues that the docstring of `powder_attenuation` states."""
    d = TISSUE.fa / torch.sqrt(3 - 2 * TISSUE.fa**2)
    eigenvalues = torch.stack([1 + 2 * d, 1 - d, 1 - d])

    spread = (eigenvalues - eigenvalues.mean(0)).square().sum(0)
    torch.testing.assert_close(eigenvalues.mean(0), torch.ones_like(d))
    torch.testing.assert_close((1.5 * spread / eigenvalues.square().sum(0)).sqrt(), TISSUE.fa)


@pytest.mark.parametrize("signal", [0.0, 0.5, 1.0, 3.0])
def test_rician_mean_agrees_with_monte_carlo(signal, generator):
    real, imaginary = 0.5 * torch.randn((2, 200_000), generator=generator)
    expected = torch.hypot(signal + real, imaginary).mean()

    assert rician_mean(torch.tensor(signal), 0.5).item() == pytest.approx(expected.item(), rel=5e-3)


def test_rician_mean_between_noise_floor_and_signal():
    sigma = 0.1

    assert rician_mean(torch.tensor(0.0), sigma).item() == pytest.approx(sigma * math.sqrt(math.pi / 2))
    strong = torch.tensor([5.0, 50.0])
    torch.testing.assert_close(rician_mean(strong, sigma), strong + sigma**2 / (2 * strong))


def test_dropout_of_weiskopf_2006():
    kept = dropout_attenuation(torch.tensor([0.0, 100.0, 200.0, 300.0]), slice_mm=3.0, te_ms=30.0)

    np.testing.assert_allclose(kept, [1.0, 0.78, 0.28, 0.13], atol=0.005)


def test_every_structure_has_properties():
    assert list(TABLE) == list(Structure)
    assert all((getattr(TISSUE, name)[1:] > 0).all() for name in ("pd", "t1", "t2", "t2_star", "md", "fa"))
    assert TISSUE.pd[Structure.AIR] == 0
    assert (TISSUE.t2_star <= TISSUE.t2).all()


def test_subjects_vary_about_the_table():
    many = [tissue_properties(torch.Generator().manual_seed(s)) for s in range(400)]
    t1 = torch.stack([p.t1 for p in many])[:, Structure.CORTEX]

    assert t1.log().mean().item() == pytest.approx(math.log(1350), abs=0.01)
    assert t1.log().std().item() == pytest.approx(PROPERTY_SD, rel=0.15)
    assert max(p.fa.max() for p in many) <= 0.95


def test_a_subject_follows_from_its_seed():
    first, second, third = (tissue_properties(torch.Generator().manual_seed(s)) for s in (7, 7, 8))

    assert torch.equal(first.pd, second.pd)
    assert not torch.equal(first.pd, third.pd)


def test_t1_contrast_is_that_of_a_t1_weighted_brain():
    brightness = t1_contrast()

    assert brightness[Structure.WHITE] > brightness[Structure.CORTEX] > brightness[Structure.CSF] > 0
    assert brightness[Structure.SOFT] == brightness[Structure.AIR] == 0


def test_t1w_contrast():
    signal = mprage_signal(TISSUE, tr_ms=2300, ti_ms=900, te_ms=3, flip_deg=9)

    assert signal[Structure.WHITE] > signal[Structure.CORTEX] > 1.5 * signal[Structure.CSF]
    assert 0.65 < relative(signal, Structure.CORTEX) / relative(signal, Structure.WHITE) < 0.85


def test_mprage_is_the_fixed_point_of_its_cycle():
    """Play the pulses one by one until nothing changes."""
    t1 = TISSUE.t1.double()
    mz = torch.ones_like(t1)

    def recover(mz: torch.Tensor, ms: float) -> torch.Tensor:
        return 1 + (mz - 1) * torch.exp(-ms / t1)

    for _ in range(60):
        mz = recover(-mz, 1000 - 88 * 7)
        for pulse in range(176):
            if pulse == 88:
                centre = mz
            mz = recover(mz * math.cos(math.radians(8)), 7)
        mz = recover(mz, 2400 - (1000 - 88 * 7) - 176 * 7)
    expected = TISSUE.pd * math.sin(math.radians(8)) * centre.abs() * torch.exp(-3 / TISSUE.t2_star)

    signal = mprage_signal(TISSUE, tr_ms=2400, ti_ms=1000, te_ms=3, flip_deg=8)
    assert signal.double() == pytest.approx(expected.double(), rel=1e-3)


@pytest.mark.parametrize("flip_deg", [50.0, 77.0, 90.0])
def test_gradient_echo_approaches_its_steady_state(flip_deg):
    cosine = math.cos(math.radians(flip_deg))
    mz = torch.ones_like(TISSUE.t1)
    steady = gre_signal(TISSUE, 2200, 27, flip_deg)
    for pulse in range(4):
        seen = TISSUE.pd * math.sin(math.radians(flip_deg)) * mz * torch.exp(-27 / TISSUE.t2_star)
        assert steady * gre_approach(TISSUE, 2200, flip_deg, pulse) == pytest.approx(seen, rel=1e-4)
        mz = 1 + (mz * cosine - 1) * torch.exp(-2200 / TISSUE.t1)
