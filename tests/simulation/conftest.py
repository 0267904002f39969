from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pds_bids.simulation.anatomy import FINE_SHAPE, Structure


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def phantom() -> Tensor:
    """(160, 192, 176) uint8 head of nested ellipsoids: scalp, sulci, cortex, white matter, ventricles."""
    axes = [torch.linspace(-1, 1, n) for n in FINE_SHAPE]
    radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    head = torch.full(FINE_SHAPE, int(Structure.AIR), dtype=torch.uint8)
    for outer, structure in [
        (0.95, Structure.SOFT),
        (0.85, Structure.SULCAL),
        (0.80, Structure.CORTEX),
        (0.70, Structure.WHITE),
        (0.25, Structure.CSF),
    ]:
        head[radius < outer] = int(structure)
    return head
