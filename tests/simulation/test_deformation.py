from __future__ import annotations

import numpy as np
import pytest
import torch

from pds_bids.simulation.anatomy import FINE_SHAPE
from pds_bids.simulation.deformation import (
    deform,
    identity_grid,
    random_diffeomorphism,
    smooth_noise,
    velocity_to_displacement,
)


def test_smooth_noise_is_smooth_and_standard():
    shape = (40, 48, 44)
    fields = torch.cat([smooth_noise(shape, 4, 3, torch.Generator().manual_seed(s)) for s in range(30)])

    steps = fields.diff(dim=2).abs().mean()
    assert fields.shape == (30, 3, *shape)
    assert fields[..., 0, 0, 0].mean().abs() < 0.35
    assert 0.75 < fields[..., 0, 0, 0].std() < 1.25  # a corner is a knot
    assert steps < 0.2 * fields.std()


def test_no_velocity_is_no_displacement():
    velocity = torch.zeros(1, 3, 6, 5, 4)

    assert torch.equal(velocity_to_displacement(velocity), velocity)


def test_a_constant_velocity_is_a_translation():
    velocity = torch.tensor([0.1, -0.2, 0.05]).view(1, 3, 1, 1, 1).expand(1, 3, 8, 8, 8)

    torch.testing.assert_close(velocity_to_displacement(velocity), velocity)


def test_a_linear_velocity_is_its_exponential():
    """dx/dt = a x has the flow x exp(a t)."""
    rate, shape = -0.5, (9, 9, 33)
    base = identity_grid(shape)[0].permute(3, 0, 1, 2)[None]  # channels (z, y, x)
    velocity = torch.zeros_like(base)
    velocity[:, 0] = rate * base[:, 0]

    displacement = velocity_to_displacement(velocity, squarings=8)

    expected = base[:, 0] * (np.exp(rate) - 1)
    torch.testing.assert_close(displacement[:, 0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_anatomy_never_folds(seed):
    where = random_diffeomorphism(torch.Generator().manual_seed(seed))[0]
    half_mm = torch.tensor([(n - 1) / 2 for n in reversed(FINE_SHAPE)])
    mm = where * half_mm  # (X, Y, Z, 3), last axis (z, y, x), 1 mm voxels
    here = mm[:-1:2, :-1:2, :-1:2]
    steps = (mm[1::2, :-1:2, :-1:2], mm[:-1:2, 1::2, :-1:2], mm[:-1:2, :-1:2, 1::2])
    columns = [(step - here).flip(-1) for step in steps]  # d/dx, d/dy, d/dz in the order (x, y, z)

    jacobian = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)

    assert jacobian.min() > 0
    assert 0.8 < jacobian.mean() < 1.25
    assert (
        0.5
        < (here.flip(-1) - (identity_grid(FINE_SHAPE)[0] * half_mm)[:-1:2, :-1:2, :-1:2].flip(-1)).std()
        < 6
    )


def test_the_identity_keeps_a_label_map(phantom):
    assert torch.equal(deform(phantom, identity_grid(FINE_SHAPE)), phantom)


def test_deform_invents_no_label(phantom, generator):
    moved = deform(phantom, random_diffeomorphism(generator))

    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == set(phantom.unique().tolist())
    assert 0.005 < (moved != phantom).float().mean() < 0.3


def test_deform_pulls_along_x():
    structures = torch.zeros(FINE_SHAPE, dtype=torch.uint8)
    structures[100, 50, 60] = 7
    where = identity_grid(FINE_SHAPE)
    where[..., 2] += 2 / (FINE_SHAPE[0] - 1) * 10  # look 10 voxels further along x

    assert deform(structures, where).nonzero().tolist() == [[90, 50, 60]]
