from __future__ import annotations

import pytest
import torch

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.texture import noise_of_scale, primary_cortex, structure_gains, texture
from pds_bids.simulation.vessels import veins


def test_larger_scales_vary_less_between_neighbours(generator):
    steps = [float(noise_of_scale(mm, generator)[0].diff(dim=0).std()) for mm in (2.0, 4.0, 8.0, 20.0)]

    assert steps == sorted(steps, reverse=True)


def test_texture_has_unit_variance(generator):
    assert texture(generator).std().item() == pytest.approx(1, rel=0.15)


def test_gains_scatter_as_asked(generator):
    logs = torch.stack([structure_gains(0.1, generator) for _ in range(200)]).log()

    assert logs.std().item() == pytest.approx(0.1, rel=0.1)


def test_veins_run_where_there_is_fluid(generator):
    fluid = torch.zeros(MODEL_GRID.shape)
    fluid[:, :, 60:] = 0.5
    blood = veins(fluid, generator)

    assert 0 <= blood.min() < blood.max() <= 1
    assert blood[..., :50].max() < 1e-3
    assert 0.005 < blood[..., 60:].mean() < 0.3


def test_primary_cortex_is_a_small_part(generator):
    share = primary_cortex(generator)

    assert 0 <= share.min() < share.max() <= 1
    assert 0.001 < share.mean() < 0.1
