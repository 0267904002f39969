"""What differs between circumstances is what they say, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.simulation.pairs import Pair, simulate_pairs
from pds_bids.simulation.variants import PLAIN, VARIANTS, simulate_variants

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(phantom: Tensor) -> dict[str, Pair]:
    chosen = {name: VARIANTS[name] for name in (PLAIN, "infarct, 40 mm", "7 T", "b = 4000")}
    return simulate_variants(phantom, torch.Generator().manual_seed(1), chosen, None)


def test_the_plain_one_is_the_pair_of_training(phantom: Tensor, pairs: dict[str, Pair]) -> None:
    (expected,) = simulate_pairs(phantom, torch.Generator().manual_seed(1), 1)
    for modality in Modality:
        assert torch.equal(pairs[PLAIN].sources[modality], expected.sources[modality])
        assert torch.equal(pairs[PLAIN].targets[modality], expected.targets[modality])


def test_a_protocol_changes_the_sources_that_it_is_of(pairs: dict[str, Pair]) -> None:
    plain, other = pairs[PLAIN], pairs["b = 4000"]
    assert torch.equal(plain.sources[Modality.BOLD], other.sources[Modality.BOLD])
    assert not torch.allclose(plain.sources[Modality.DWI], other.sources[Modality.DWI])
    for modality in Modality:
        assert torch.equal(plain.targets[modality], other.targets[modality])


def test_a_lesion_changes_images_where_it_is(pairs: dict[str, Pair]) -> None:
    plain, other = pairs[PLAIN], pairs["infarct, 40 mm"]
    changed = (plain.structures != other.structures).float()[None, None]
    near = torch.nn.functional.max_pool3d(changed, 14, 2, 6)[0, 0] > 0
    for modality in Modality:
        difference = (plain.targets[modality] - other.targets[modality]).abs() / plain.targets[
            modality
        ].mean()
        assert difference[near].mean() > 20 * difference[~near].mean()


@pytest.mark.parametrize("modality", Modality)
def test_another_field_changes_everything(pairs: dict[str, Pair], modality: Modality) -> None:
    plain, other = pairs[PLAIN].sources[modality], pairs["7 T"].sources[modality]
    assert not torch.allclose(plain, other, rtol=0.01)
