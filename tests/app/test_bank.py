"""Pairs that are simulated while they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pds_bids.app.anatomies import template_anatomy
from pds_bids.app.bank import PairStream, simulated_samples
from pds_bids.core.seeds import derived_seed
from pds_bids.simulation.atrophy import VolumesNotReached
from pds_bids.simulation.disease import Person, draw_anybody
from pds_bids.training.data import GROUPS, Covariate, make_batch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stream() -> PairStream:
    return PairStream((template_anatomy(),), n_pairs=1000, seed=3)


def test_a_row_is_the_same_pair_whenever_it_is_asked_for(stream: PairStream) -> None:
    first, both = stream.get([7]), stream.get([8, 7])
    for alone, together in zip(first, both, strict=True):
        np.testing.assert_array_equal(alone[0], together[1])
        assert (together[0] != together[1]).any()


def test_batches_are_made_of_it_as_of_a_bank(stream: PairStream) -> None:
    batch = make_batch(stream.get([0]), [1], [torch.Generator().manual_seed(0)])
    assert len(stream) == 1000
    assert batch.images.isfinite().all()
    assert 0.1 < float(batch.mask.mean()) < 0.5


def test_a_person_whose_head_cannot_be_made_is_replaced_by_another(
    stream: PairStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pds_bids.simulation import pairs

    simulate_pairs, drawn = pairs.simulate_pairs, []

    def first_fails(
        structures: torch.Tensor, generator: torch.Generator, n: int, person: Person
    ) -> list[pairs.Pair]:
        drawn.append(person)
        if len(drawn) == 1:
            raise VolumesNotReached("no room")
        return simulate_pairs(structures, generator, n, person=None)

    monkeypatch.setattr(pairs, "simulate_pairs", first_fails)
    sample = stream.get([5])
    assert len(drawn) == 2
    assert drawn[0].age != drawn[1].age == pytest.approx(sample.covariates[0, Covariate.AGE], rel=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_device_makes_pairs_of_the_same_kind() -> None:
    stream = PairStream((template_anatomy(),), n_pairs=10, seed=0, device="cuda")
    assert 0.1 < stream.get([0]).masks.mean() < 0.5


def test_pairs_of_people_say_who_they_are(stream: PairStream) -> None:
    person = draw_anybody(torch.Generator().manual_seed(derived_seed(3, "pair", 7)))

    known, unknown = (
        simulated_samples(template_anatomy(), derived_seed(3, "pair", 7), people=people)[0].covariates
        for people in (True, False)
    )

    assert GROUPS[int(known[Covariate.GROUP])] == person.group
    assert known[Covariate.AGE] == pytest.approx(person.age)
    assert known[Covariate.SEX] == (person.sex == "M")
    assert known[Covariate.SITE] == 0
    assert np.isnan(unknown).all()
    np.testing.assert_array_equal(stream.get([7]).covariates[0], known)
