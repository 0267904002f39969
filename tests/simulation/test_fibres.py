from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure
from pds_bids.simulation.fibres import fibre_directions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def brain() -> Tensor:
    """Two hemispheres of white matter in cortex, joined by a callosum and standing on a brainstem."""
    x, y, z = torch.meshgrid(
        *(torch.arange(n) + o for n, o in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True)), indexing="ij"
    )
    structures = torch.zeros(FINE_SHAPE, dtype=torch.uint8)
    radius = ((x / 70) ** 2 + ((y + 18) / 85) ** 2 + ((z - 15) / 65) ** 2).sqrt()
    structures[radius < 1] = Structure.CORTEX
    structures[radius < 0.85] = Structure.WHITE
    structures[(x.abs() < 4) & (radius < 0.9)] = Structure.CSF
    structures[(x.abs() < 6) & (y.abs() < 40) & ((z - 22).abs() < 6)] = Structure.CALLOSUM
    structures[(x.abs() < 12) & ((y + 25).abs() < 12) & (z < -10) & (z > -75)] = Structure.BRAINSTEM
    return structures


@pytest.fixture(scope="module")
def directions(brain: Tensor) -> Tensor:
    return fibre_directions(brain)


def share(brain: Tensor, structure: Structure) -> Tensor:
    return F.avg_pool3d((brain == structure)[None, None].float(), 2)[0, 0]


def test_a_direction_everywhere(directions):
    assert directions.shape == (3, *MODEL_GRID.shape)
    assert directions.norm(dim=0) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("structure", "axis"), [(Structure.CALLOSUM, 0), (Structure.BRAINSTEM, 2)])
def test_bundles_run_where_they_should(brain, directions, structure, axis):
    inside = share(brain, structure) == 1

    assert directions[axis].abs()[inside].mean() > 0.85


def test_neighbours_agree(brain, directions):
    white = share(brain, Structure.WHITE) == 1
    for axis in range(3):
        n = white.shape[axis] - 1
        both = white.narrow(axis, 0, n) & white.narrow(axis, 1, n)
        cosine = (directions.narrow(axis + 1, 0, n) * directions.narrow(axis + 1, 1, n)).sum(0).abs()
        assert cosine[both].mean() > 0.95


def test_hemispheres_mirror_each_other(brain, directions):
    white = share(brain, Structure.WHITE) == 1
    mirrored = directions.flip(1) * torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1, 1)

    assert ((directions * mirrored).sum(0).abs()[white] > 0.99).float().mean() > 0.99


def test_no_white_matter_is_no_error():
    directions = fibre_directions(torch.zeros(FINE_SHAPE, dtype=torch.uint8))

    assert directions.norm(dim=0) == pytest.approx(1, abs=1e-5)
