from __future__ import annotations

import pytest
import torch
from scipy import ndimage

from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.sulci import REACH_MM, distance_mm, is_any, with_sulci


@pytest.fixture(scope="module")
def carved(phantom) -> torch.Tensor:
    return with_sulci(phantom, torch.Generator().manual_seed(0))


def test_distance_agrees_with_scipy(generator):
    inside = torch.rand((20, 18, 22), generator=generator) < 0.002

    expected = torch.from_numpy(ndimage.distance_transform_edt(~inside.numpy())).float()

    assert expected.max() > REACH_MM
    torch.testing.assert_close(distance_mm(inside), expected.clamp(max=REACH_MM))


def test_thick_cortex_gives_way_to_fluid(phantom, carved):
    """The phantom's cortex is 8 mm thick."""
    from_white = distance_mm(phantom == Structure.WHITE)
    cortex = phantom == Structure.CORTEX

    assert (carved[cortex & (from_white <= 1)] == Structure.CORTEX).all()
    assert (carved[cortex & (from_white >= REACH_MM)] == Structure.SULCAL).all()


def test_the_rest_stays(phantom, carved):
    deep = is_any(phantom, (Structure.WHITE, Structure.CSF))

    assert torch.equal(carved[deep], phantom[deep])
    assert carved.dtype == torch.uint8


def test_the_space_around_the_brain_widens_with_age(phantom):
    bare = torch.where(phantom == Structure.SULCAL, int(Structure.SOFT), phantom)
    counts = [
        int((with_sulci(bare, torch.Generator().manual_seed(0), age) == Structure.SULCAL).sum())
        for age in (30.0, 60.0, 90.0)
    ]

    assert counts == sorted(counts)
    assert counts[0] < counts[2]
