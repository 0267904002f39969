from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.simulation.cohort import Visit, plan_cohort
from pds_bids.simulation.effects import Group
from pds_bids.simulation.sites import SITES

some_sites = st.lists(st.sampled_from(tuple(SITES)), min_size=1, unique=True)
some_groups = st.lists(st.sampled_from(Group), min_size=1, unique=True)
seeds = st.integers(0, 1000)


def spread_of(counts: Counter, choices: list) -> int:
    numbers = [counts[choice] for choice in choices]
    return max(numbers) - min(numbers)


@given(n=st.integers(1, 40), sites=some_sites, groups=some_groups, seed=seeds)
def test_groups_and_sites_are_balanced(n, sites, groups, seed):
    visits = plan_cohort(n, sites, groups=groups, seed=seed)

    assert spread_of(Counter(v.person.group for v in visits), groups) <= 1
    assert spread_of(Counter(v.site for v in visits), sites) <= 1


@given(sites=some_sites, groups=some_groups, seed=seeds)
def test_groups_and_sites_are_crossed(sites, groups, seed):
    visits = plan_cohort(2 * len(sites) * len(groups), sites, groups=groups, seed=seed)

    cells = Counter((v.person.group, v.site) for v in visits)
    assert cells == {(group, site): 2 for group in groups for site in sites}


def test_the_order_of_groups_differs_between_studies():
    orders = {tuple(v.person.group for v in plan_cohort(3, ["oasis"], seed=s)) for s in range(20)}

    assert len(orders) > 2


@given(n=st.integers(1, 12), more=st.integers(0, 120), sessions=st.integers(1, 3), seed=seeds)
def test_a_larger_study_contains_the_smaller_one(n, more, sessions, seed):
    def essence(visit: Visit) -> tuple:
        return int(visit.subject), visit.session, visit.site, visit.person, visit.years, visit.seed

    small, large = (plan_cohort(k, tuple(SITES), sessions, seed=seed) for k in (n, n + more))

    assert [essence(v) for v in large[: len(small)]] == [essence(v) for v in small]


@given(n=st.integers(1, 40), missing=st.floats(0, 1), sessions=st.integers(1, 3), seed=seeds)
def test_the_asked_part_of_the_subjects_lacks_one_modality_in_every_session(n, missing, sessions, seed):
    visits = plan_cohort(n, ["adni"], sessions, missing, seed=seed)

    lacks = {v.subject: v.missing for v in visits}
    assert all(v.missing is lacks[v.subject] for v in visits)
    counts = Counter(modality for modality in lacks.values() if modality)
    assert counts.total() == round(missing * n)
    assert spread_of(counts, list(Modality)) <= 1


def test_labels_are_right_unless_noise_is_asked_for():
    n = 300
    wrong = {
        noise: sum(v.diagnosis is not v.person.group for v in plan_cohort(n, ["oasis"], label_noise=noise))
        for noise in (0.0, 0.2, 1.0)
    }

    assert wrong[0.0] == 0
    assert wrong[0.2] == pytest.approx(0.2 * n, abs=28)  # four standard deviations
    assert wrong[1.0] == n
    only = plan_cohort(3, ["oasis"], groups=["ad"], label_noise=1.0)
    assert {v.diagnosis for v in only} == {Group.AD}


def test_labels_are_padded_and_unique():
    labels = [v.subject for v in plan_cohort(120, ["oasis"])]

    assert labels == sorted(set(labels))
    assert (labels[0], labels[-1]) == ("001", "120")
    assert [v.subject for v in plan_cohort(2, ["oasis"])] == ["01", "02"]


def test_sessions_are_years_of_one_person():
    first, second, third = plan_cohort(1, ["oasis"], n_sessions=3)

    assert [v.session for v in (first, second, third)] == ["01", "02", "03"]
    assert [v.years for v in (first, second, third)] == [0, 1, 2]
    assert first.person == second.person == third.person
    assert first.seed == second.seed
    assert plan_cohort(1, ["oasis"])[0].session is None


def test_people_and_their_seeds_differ():
    visits = plan_cohort(30, ["oasis"])

    assert len({v.seed for v in visits}) == len({v.person.age for v in visits}) == 30
    assert plan_cohort(30, ["oasis"], seed=1)[0].person != visits[0].person


def test_ages_are_those_asked_for():
    ages = [v.person.age for v in plan_cohort(30, ["oasis"], ages=(20, 30))]

    assert all(20 <= age <= 30 for age in ages)
    assert len(set(ages)) == 30


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n_subjects": 0}, "at least one"),
        ({"n_sessions": 0}, "at least one"),
        ({"missing": 1.2}, "from 0 to 1"),
        ({"missing": float("nan")}, "from 0 to 1"),
        ({"label_noise": -0.1}, "wrongly labelled fraction is -0.1; give a number from 0 to 1"),
        ({"label_noise": 1.5}, "from 0 to 1"),
        ({"label_noise": float("nan")}, "from 0 to 1"),
        ({"sites": []}, "at least one"),
        ({"groups": []}, "at least one"),
        ({"sites": ["oasis", "moon"]}, "unknown site moon; choose from .*oasis"),
        ({"groups": ["nc", "ms"]}, "unknown group ms; choose from nc, mci, ad"),
        ({"ages": (5, 10)}, "20 to 90"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, says):
    with pytest.raises(UsageError, match=says):
        plan_cohort(**{"n_subjects": 2, "sites": ["oasis"], **arguments})
