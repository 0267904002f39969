from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pds_bids.simulation.anatomy import FINE_SHAPE
from pds_bids.simulation.atrophy import TOLERANCE, VolumesNotReached, resizing_grid
from pds_bids.simulation.deformation import deform, identity_grid
from pds_bids.simulation.icbm import Ellipsoid

pytestmark = pytest.mark.slow

FACTORS = {"hippocampus": 0.79, "ventricles": 1.45, "posterior cingulate": 0.94}


def blob(*parts: Ellipsoid) -> Tensor:
    return torch.from_numpy(np.any([part.mask() for part in parts], axis=0))


@pytest.fixture(scope="module")
def masks() -> dict[str, Tensor]:
    """Regions of about the right shape and place."""
    return {
        "hippocampus": blob(Ellipsoid((-26, -23, -13), (7, 20, 7), pitch_deg=-37)),
        "ventricles": blob(
            Ellipsoid((-10, 10, 14), (6, 25, 9), yaw_deg=10), Ellipsoid((-23, -40, 12), (6, 14, 9))
        ),
        "posterior cingulate": blob(Ellipsoid((-5, -45, 27), (5, 12, 13))),
    }


@pytest.fixture(scope="module")
def grid(masks) -> Tensor:
    return resizing_grid(list(masks.values()), list(FACTORS.values()))


def volume_ratio(mask: Tensor, where: Tensor) -> float:
    return float(deform(mask.to(torch.uint8), where).sum() / mask.sum())


def millimetres(where: Tensor) -> Tensor:
    """(X, Y, Z, 3) positions on the 1 mm lattice, last axis (z, y, x)."""
    return where[0] * torch.tensor([(n - 1) / 2 for n in reversed(FINE_SHAPE)])


@pytest.mark.parametrize("region", FACTORS)
def test_every_region_reaches_its_volume_at_once(masks, grid, region):
    assert volume_ratio(masks[region], grid) == pytest.approx(FACTORS[region], rel=TOLERANCE)


def test_nothing_folds(grid):
    mm = millimetres(grid)
    here = mm[:-1, :-1, :-1]
    steps = (mm[1:, :-1, :-1], mm[:-1, 1:, :-1], mm[:-1, :-1, 1:])
    columns = [(step - here).flip(-1) for step in steps]

    assert (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1).min() > 0.2


def test_far_away_nothing_moves(masks, grid):
    moved = (millimetres(grid) - millimetres(identity_grid(FINE_SHAPE))).norm(dim=-1)
    near = torch.stack(list(masks.values())).any(0)
    high = moved[:, :, 155:]  # more than 3 cm above every region

    assert moved[near].max() > 1
    assert high.max() < 0.1
    assert max(moved.select(axis, end).max() for axis in range(3) for end in (0, -1)) < 1e-4


def test_a_neighbour_can_be_held(masks):
    shell = blob(Ellipsoid((-26, -23, -13), (11, 24, 11), pitch_deg=-37)) & ~masks["hippocampus"]
    where = resizing_grid([masks["hippocampus"], shell], [0.85, 1.0])

    assert volume_ratio(masks["hippocampus"], where) == pytest.approx(0.85, rel=TOLERANCE)
    assert volume_ratio(shell, where) == pytest.approx(1.0, rel=TOLERANCE)


def test_factors_of_one_move_nothing(masks):
    assert torch.equal(resizing_grid(list(masks.values()), [1.0] * 3), identity_grid(FINE_SHAPE))


def test_a_region_that_is_not_there_is_left_out():
    nowhere = torch.zeros(FINE_SHAPE, dtype=torch.bool)

    assert torch.equal(resizing_grid([nowhere], [2.0]), identity_grid(FINE_SHAPE))


def test_regions_may_not_overlap(masks):
    with pytest.raises(ValueError, match="disjoint"):
        resizing_grid([masks["hippocampus"]] * 2, [0.9, 1.1])


def test_what_cannot_be_is_refused():
    everything = torch.ones(FINE_SHAPE, dtype=torch.bool)
    with pytest.raises(VolumesNotReached, match="smaller changes"):
        resizing_grid([everything], [2.0])
