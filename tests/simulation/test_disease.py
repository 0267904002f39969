from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.simulation.disease import (
    PRIVATE_SHARE,
    SEVERITY_SD,
    Condition,
    Person,
    condition,
    draw_person,
    severity,
)
from pds_bids.simulation.effects import (
    AGEING,
    COHENS_D,
    PATIENTS,
    RELATIVE_CHANGE,
    Group,
    Measure,
    affected_regions,
    spread,
)
from pds_bids.simulation.regions import Region

N = 3000


def person(group: Group = Group.NC, seed: int = 0, age: float = 75.0) -> Person:
    return replace(draw_person(group, torch.Generator().manual_seed(seed)), age=age)


@cache
def people(group: Group) -> list[Person]:
    """Many people of one age."""
    return [person(group, seed) for seed in range(N)]


@cache
def conditions(group: Group) -> list[Condition]:
    return [condition(p) for p in people(group)]


def factors(group: Group, measure: Measure, region: Region) -> torch.Tensor:
    return torch.tensor([getattr(today, measure.value)[region] for today in conditions(group)])


def cohens_d(patients: torch.Tensor, healthy: torch.Tensor) -> float:
    return float((patients.mean() - healthy.mean()) / ((patients.var() + healthy.var()) / 2).sqrt())


PUBLISHED = [
    (group, measure, region, row[column])
    for measure, rows in COHENS_D.items()
    for region, row in rows.items()
    for column, group in enumerate(PATIENTS)
]


@pytest.mark.parametrize(("group", "measure", "region", "expected"), PUBLISHED)
def test_effects_of_the_published_size(group, measure, region, expected):
    found = cohens_d(factors(group, measure, region), factors(Group.NC, measure, region))

    assert found == pytest.approx(expected, abs=3.5 * math.sqrt(2 / N))  # 3.5 standard errors of d


CHANGES = [
    (group, measure, region, row[column])
    for measure, rows in RELATIVE_CHANGE.items()
    for region, row in rows.items()
    for column, group in enumerate(PATIENTS)
]


@pytest.mark.parametrize(("group", "measure", "region", "expected"), CHANGES)
def test_mean_changes_of_the_asked_size(group, measure, region, expected):
    found = factors(group, measure, region).mean() / factors(Group.NC, measure, region).mean() - 1

    assert float(found) == pytest.approx(expected, abs=4 * spread(measure, region) * math.sqrt(2 / N))


@pytest.mark.parametrize("group", Group)
@pytest.mark.parametrize("measure", Measure)
def test_people_of_a_group_differ_as_healthy_people_do(group, measure):
    for region in affected_regions(measure):
        drawn = factors(group, measure, region)
        healthy_mean = factors(Group.NC, measure, region).mean()

        assert float(drawn.std() / healthy_mean) == pytest.approx(spread(measure, region), rel=0.06)


def test_severity_has_mean_one_and_the_stated_spread():
    for modality in (None, *Modality):
        drawn = torch.tensor([severity(p, modality) for p in people(Group.AD)])

        assert float(drawn.mean()) == pytest.approx(1, abs=0.02)
        assert float(drawn.log().std()) == pytest.approx(SEVERITY_SD, rel=0.05)


def test_the_stated_part_of_severity_is_private_to_each_modality():
    """What a regression on the shared part, or on the other modality, leaves unexplained."""
    log_severity = torch.tensor(
        [[math.log(severity(p, m)) for p in people(Group.AD)] for m in (None, *Modality)]
    )
    correlation = torch.corrcoef(log_severity)

    for number in range(1, 1 + len(Modality)):
        assert 1 - float(correlation[0, number]) ** 2 == pytest.approx(PRIVATE_SHARE, abs=0.02)
    assert float(correlation[1, 2]) == pytest.approx(1 - PRIVATE_SHARE, abs=0.02)


def test_each_measure_follows_the_severity_of_its_modality():
    """In one patient, what is private to a modality moves the measures of that modality alone."""
    mild = person(Group.AD)
    before = condition(mild)
    for modality in Modality:
        after = condition(replace(mild, private={**mild.private, modality: mild.private[modality] + 2}))
        moved = {m for m in Measure if getattr(after, m.value) != getattr(before, m.value)}

        assert moved == {m for m in Measure if m.modality is modality}


def test_shared_severity_moves_every_measure():
    mild = person(Group.AD)
    before, after = condition(mild), condition(replace(mild, shared=mild.shared + 2))

    assert all(getattr(after, m.value) != getattr(before, m.value) for m in Measure)
    assert after.volume[Region.HIPPOCAMPUS] < before.volume[Region.HIPPOCAMPUS]
    assert after.volume[Region.VENTRICLES] > before.volume[Region.VENTRICLES]


@pytest.mark.parametrize("measure", AGEING)
def test_ageing_is_monotone_and_smooth(measure):
    for ageing in AGEING[measure].values():
        curve = torch.tensor([ageing.factor(age) for age in range(20, 101)]).double()
        slope = curve.log().diff()

        assert (slope * math.copysign(1, ageing.yearly) > 0).all()
        assert (slope.abs() <= abs(ageing.yearly) + 1e-6).all()
        assert slope.diff().abs().max() < 0.2 * abs(ageing.yearly)


def test_ageing_shrinks_the_hippocampus_and_widens_the_ventricles():
    young, old = condition(person(age=20.0)).volume, condition(person(age=90.0)).volume

    assert old[Region.HIPPOCAMPUS] < 0.85 * young[Region.HIPPOCAMPUS]
    assert old[Region.VENTRICLES] > 1.4 * young[Region.VENTRICLES]
    assert all(old[cortex] < young[cortex] for cortex in (Region.TEMPORAL, Region.PARIETAL))


@pytest.mark.parametrize(("group", "yearly"), [(Group.NC, -0.01), (Group.MCI, -0.025), (Group.AD, -0.04)])
def test_the_hippocampus_of_the_old_shrinks_at_the_rate_of_the_group(group, yearly):
    rates = torch.tensor(
        [
            condition(p, years=1).volume[Region.HIPPOCAMPUS] / condition(p).volume[Region.HIPPOCAMPUS] - 1
            for p in people(group)[:300]
        ]
    )

    assert float(rates.mean()) == pytest.approx(yearly, abs=0.004)


@given(group=st.sampled_from(Group), seed=st.integers(0, 2**31), years=st.floats(0, 10))
def test_a_condition_is_one_a_head_can_have(group, seed, years):
    someone = draw_person(group, torch.Generator().manual_seed(seed), ages=(20, 90))
    today = condition(someone, years)

    assert today.age == someone.age + years
    assert today == condition(someone, years)
    for measure in Measure:
        values = getattr(today, measure.value)
        assert tuple(values) == affected_regions(measure)
        assert all(0.4 <= value <= 3.0 for value in values.values())


def test_a_person_follows_from_the_generator():
    assert person(Group.MCI, seed=3) == person(Group.MCI, seed=3) != person(Group.MCI, seed=4)


def test_groups_are_of_one_age_and_both_sexes():
    for group in Group:
        drawn = [draw_person(group, torch.Generator().manual_seed(s)) for s in range(500)]

        assert sum(p.age for p in drawn) / 500 == pytest.approx(75, abs=1.5)
        assert sum(p.sex == "F" for p in drawn) / 500 == pytest.approx(0.5, abs=0.1)
        assert {p.sex for p in drawn} == {"F", "M"}


@pytest.mark.parametrize("ages", [(10, 50), (60, 95), (70, 60), (math.nan, 90)])
def test_ages_out_of_range_are_refused(ages):
    with pytest.raises(UsageError, match="20 to 90"):
        draw_person(Group.NC, torch.Generator(), ages)
