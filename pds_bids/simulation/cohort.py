"""Who is scanned where and when: the plan of a simulated study, before any voxel exists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.simulation.disease import OLDER_ADULTS, Group, Person, draw_person
from pds_bids.simulation.sites import SITES

SESSION_INTERVAL_YEARS = 1.0


@dataclass(frozen=True)
class Visit:
    """One subject on one day.

    Attributes
    ----------
    subject
        BIDS label, zero-padded.
    session
        BIDS label, zero-padded; None where every subject comes once.
    site
        Key of `SITES`; the same at every visit.
    person
        Who it is.
    diagnosis
        What the record says of the person's group; wrong where labels are noisy.
    years
        Since the first visit.
    missing
        The modality that was not acquired, at any visit of this subject; None if both were.
    seed
        Of everything random that belongs to the subject rather than to the visit: the anatomy above all.
    """

    subject: str
    session: str | None
    site: str
    person: Person
    diagnosis: Group
    years: float
    missing: Modality | None
    seed: int


def plan_cohort(
    n_subjects: int,
    sites: Sequence[str],
    n_sessions: int = 1,
    missing: float = 0.0,
    groups: Sequence[str] = tuple(Group),
    seed: int = 0,
    ages: tuple[float, float] = OLDER_ADULTS,
    label_noise: float = 0.0,
) -> list[Visit]:
    """Plan a study whose groups and sites are crossed and balanced.

    A subject follows from `seed` and its number alone: a larger study contains the smaller one, but for who
    lacks a modality.

    Parameters
    ----------
    n_subjects, n_sessions
        At least one of each; sessions are a year apart.
    sites
        Keys of `SITES`.
    missing
        Fraction of the subjects that lack one modality, BOLD and DWI in turn.
    groups
        Diagnoses to include: values of `Group`.
    seed
        Of the whole study.
    ages
        Limits of the age at the first visit, in years.
    label_noise
        Probability that another of `groups` is on record than the person's own.

    Returns
    -------
    list of Visit
        By subject, then by session.

    Raises
    ------
    UsageError
        If a number is out of range, a site or group is unknown, or there is none.

    Examples
    --------
    >>> [visit.session for visit in plan_cohort(2, ["oasis"], n_sessions=2)]
    ['01', '02', '01', '02']
    """
    _check(n_subjects, sites, n_sessions, {"missing": missing, "wrongly labelled": label_noise}, groups)
    members = [Group(group) for group in groups]
    absent = _missing_modalities(n_subjects, missing, seed)
    visits = []
    for number in range(n_subjects):
        group, site = _allocation(number, members, sites, seed)
        generator = torch.Generator().manual_seed(derived_seed(seed, number, "person"))
        person = draw_person(group, generator, ages)
        recorded = _recorded(group, members, label_noise, generator)
        visits += [
            Visit(
                subject=_label(number, n_subjects),
                session=_label(session, n_sessions) if n_sessions > 1 else None,
                site=site,
                person=person,
                diagnosis=recorded,
                years=session * SESSION_INTERVAL_YEARS,
                missing=absent.get(number),
                seed=derived_seed(seed, number, "subject"),
            )
            for session in range(n_sessions)
        ]
    return visits


def _check(
    n_subjects: int,
    sites: Sequence[str],
    n_sessions: int,
    fractions: Mapping[str, float],
    groups: Sequence[str],
) -> None:
    if n_subjects < 1 or n_sessions < 1:
        raise UsageError(
            f"{n_subjects} subjects with {n_sessions} sessions are no study; give at least one of each"
        )
    for name, fraction in fractions.items():
        if not 0 <= fraction <= 1:
            raise UsageError(f"the {name} fraction is {fraction:g}; give a number from 0 to 1")
    if not sites or not groups:
        raise UsageError("a study needs a site and a group; give at least one of each")
    for kind, given, known in (("site", sites, SITES), ("group", groups, list(Group))):
        if unknown := [name for name in given if name not in known]:
            raise UsageError(f"unknown {kind} {', '.join(unknown)}; choose from {', '.join(known)}")


def _recorded(group: Group, groups: Sequence[Group], noise: float, generator: torch.Generator) -> Group:
    """The group, or with probability `noise` another one of those in the study."""
    others = [other for other in groups if other is not group]
    wrong, which = torch.rand(2, generator=generator).tolist()
    return others[int(which * len(others))] if others and wrong < noise else group


def _label(number: int, n: int) -> str:
    return f"{number + 1:0{max(2, len(str(n)))}d}"


def _allocation(number: int, groups: Sequence[Group], sites: Sequence[str], seed: int) -> tuple[Group, str]:
    """Group and site of a subject: both in turn, in an order that is random in every crossed block.

    Counts of groups, and those of sites, never differ by more than one, and every len(groups) x len(sites)
    subjects hold each combination once.
    """
    block, place = divmod(number, len(groups) * len(sites))
    generator = torch.Generator().manual_seed(derived_seed(seed, block, "allocation"))
    group_order = torch.randperm(len(groups), generator=generator)
    site_order = torch.randperm(len(sites), generator=generator)
    # Two cycles in step would meet only lcm combinations: the second one skips a place after each lcm.
    skipped = place // math.lcm(len(groups), len(sites))
    group = groups[int(group_order[place % len(groups)])]
    return group, sites[int(site_order[(place + skipped) % len(sites)])]


def _missing_modalities(n_subjects: int, fraction: float, seed: int) -> dict[int, Modality]:
    """Which subjects, by number, lack which modality: a rounded share, half and half to within one."""
    generator = torch.Generator().manual_seed(derived_seed(seed, "missing"))
    chosen = torch.randperm(n_subjects, generator=generator)[: round(fraction * n_subjects)].tolist()
    modalities = tuple(Modality)
    return {number: modalities[turn % len(modalities)] for turn, number in enumerate(chosen)}
