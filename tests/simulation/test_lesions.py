"""Lesions on the phantom."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.lesions import with_infarct, with_small_vessel_disease
from pds_bids.simulation.physics import TABLE, TissueProperties, tissue_properties


@pytest.fixture(scope="module")
def tissue(phantom: Tensor) -> TissueProperties:
    return tissue_properties().at(phantom)


@pytest.fixture(scope="module")
def infarcts(phantom: Tensor, tissue: TissueProperties) -> dict[int, tuple[Tensor, TissueProperties]]:
    return {
        mm: with_infarct(phantom, tissue, torch.Generator().manual_seed(3), diameter_mm=mm)
        for mm in (10, 20, 40)
    }


def test_an_infarct_grows_where_it_is(phantom: Tensor, infarcts: dict) -> None:
    places = [structures != phantom for structures, _ in infarcts.values()]
    for small, large in pairwise(places):
        assert 0 < small.sum() < large.sum()
        assert (large | ~small).all()
    assert 150 < places[0].sum() < 900  # a ball of 10 mm has 520 mm3


def test_it_is_a_cavity_in_gliosis_in_what_was_cerebral(phantom: Tensor, infarcts: dict) -> None:
    structures, tissue = infarcts[20]
    changed = structures != phantom
    assert set(structures[changed].tolist()) == {Structure.CSF, Structure.LESION}
    assert set(phantom[changed].tolist()) <= {Structure.CORTEX, Structure.WHITE}
    for structure in (Structure.CSF, Structure.LESION):
        where = changed & (structures == structure)
        assert tissue.t2[where].unique().tolist() == [TABLE[structure][2]]


def test_small_vessel_disease_takes_its_share_of_white_matter_near_the_ventricles(
    phantom: Tensor, tissue: TissueProperties
) -> None:
    structures, _ = with_small_vessel_disease(phantom, tissue, torch.Generator().manual_seed(0), share=0.1)
    white, lesion = phantom == Structure.WHITE, structures == Structure.LESION
    assert float(lesion.sum() / white.sum()) == pytest.approx(0.1, abs=1e-3)
    assert not (lesion & ~white).any()
    middle = (torch.tensor(phantom.shape) - 1) / 2

    def away(where: Tensor) -> float:
        return float((where.nonzero() - middle).norm(dim=1).mean())

    assert away(lesion) < 0.9 * away(white)


@pytest.mark.parametrize("make", [lambda *a: with_infarct(*a, diameter_mm=20)])
def test_the_body_that_was_given_is_as_it_was(
    phantom: Tensor, tissue: TissueProperties, make: Callable, generator: torch.Generator
) -> None:
    before = phantom.clone(), tissue.t1.clone()
    make(phantom, tissue, generator)
    assert torch.equal(phantom, before[0])
    assert torch.equal(tissue.t1, before[1])
