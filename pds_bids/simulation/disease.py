"""What a person is, and how age and disease change that person's regions.

A measure (volume, MD, FA, T2*) of a region is its table value times a factor

    factor = ageing(age) (1 + e s + w z),

e the mean relative change of the person's group, s the severity of the disease in this person (mean 1),
z the person's own deviation (mean 0, variance 1). Within any group the variance is that of healthy people,

    sd^2 = e^2 Var(s) + w^2:

w makes room for severity, and Cohen's d between people of one age is e / sd. Severity is log-normal,

    ln s_m = c (sqrt(1 - p) u + sqrt(p) u_m) - c^2 / 2,

with u shared by everything and u_m private to modality m. T2* carries the severity private to BOLD, MD and FA
that private to DWI. Both modalities see geometry alike, so volumes follow u alone: ln s = c u - c^2 / 2.
Who sees one modality knows u at best: p = 15 % of the variance of the other's ln s_m is out of reach.
(The severities of BOLD and DWI correlate by 1 - p = .85.) Brains are aligned to one template here: head size,
and with it sex, changes no region.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.simulation.effects import (
    AGEING,
    FACTOR_LIMITS,
    Group,
    Measure,
    affected_regions,
    mean_change,
    spread,
)
from pds_bids.simulation.regions import Region

COMMON_SHARE: Mapping[Measure, float] = {
    Measure.VOLUME: 0.0,
    Measure.MD: 0.5,
    Measure.FA: 0.5,
    Measure.T2_STAR: 0.5,
}
"""Of the variance between healthy people: what all regions of a person have in common [R]."""

SEVERITY_SD = 0.3
"""c, standard deviation of the logarithm of severity within a group [R]."""

PRIVATE_SHARE = 0.15
"""p, of the variance of the logarithm of severity: what shows in one modality only."""

PROGRESS: Mapping[Group, float] = {Group.NC: 0.0, Group.MCI: 0.14, Group.AD: 0.12}
"""Growth of severity per year, of its value at baseline [R].

With ageing the hippocampus loses about 1 % a year in healthy old people, 2.5 % in MCI, 4 % in AD.
"""

AGE_LIMITS = (20.0, 90.0)
OLDER_ADULTS = (60.0, 90.0)


@dataclass(frozen=True)
class Person:
    """Everything about a person that does not change, in standard normal deviates.

    Attributes
    ----------
    group
        Diagnosis, for life.
    age
        At baseline, in years.
    sex
        `F` or `M`.
    shared
        u: severity that shows in every measure.
    private
        u_m: severity that shows in one modality only.
    deviates
        z: how the person differs from others of the same group and age.
    """

    group: Group
    age: float
    sex: str
    shared: float
    private: Mapping[Modality, float]
    deviates: Mapping[Measure, Mapping[Region, float]]


@dataclass(frozen=True)
class Condition:
    """State of a person on one day: factors on the tabulated volume, MD, FA and T2* of regions."""

    age: float
    volume: Mapping[Region, float]
    md: Mapping[Region, float]
    fa: Mapping[Region, float]
    t2_star: Mapping[Region, float]


def draw_person(group: Group, generator: torch.Generator, ages: tuple[float, float] = OLDER_ADULTS) -> Person:
    """A random person.

    Parameters
    ----------
    ages
        Uniform between these limits, whatever the group: the effects above are between people of one age,
        and a cohort in which patients were older would show the effects of age for those of disease.

    Raises
    ------
    UsageError
        If `ages` are not ordered or leave 20-90 years, where the curves of ageing hold.
    """
    low, high = ages
    if not AGE_LIMITS[0] <= low <= high <= AGE_LIMITS[1]:
        raise UsageError(
            f"ages {low:g} to {high:g} are not simulated; give two ages from 20 to 90, younger first"
        )

    def normal() -> float:
        return float(torch.randn((), generator=generator, device=generator.device))

    age, coin = torch.rand(2, generator=generator, device=generator.device).tolist()
    return Person(
        group=group,
        age=low + (high - low) * age,
        sex="F" if coin < 0.5 else "M",
        shared=normal(),
        private={modality: normal() for modality in Modality},
        deviates={measure: _deviates(measure, normal) for measure in Measure},
    )


def draw_anybody(generator: torch.Generator) -> Person:
    """A random person of any group and of any age that is simulated."""
    number = torch.randint(len(Group), (), generator=generator, device=generator.device)
    return draw_person(list(Group)[int(number)], generator, AGE_LIMITS)


def _deviates(measure: Measure, normal: Callable[[], float]) -> dict[Region, float]:
    share = COMMON_SHARE[measure]
    common = math.sqrt(share) * normal()
    return {region: common + math.sqrt(1 - share) * normal() for region in affected_regions(measure)}


def severity(person: Person, modality: Modality | None, years: float = 0.0) -> float:
    """s, as it shows in one modality, or (None) in geometry; mean 1 within a group at baseline."""
    if modality is None:
        deviate = person.shared
    else:
        private = person.private[modality]
        deviate = math.sqrt(1 - PRIVATE_SHARE) * person.shared + math.sqrt(PRIVATE_SHARE) * private
    baseline = math.exp(SEVERITY_SD * deviate - SEVERITY_SD**2 / 2)
    return baseline * (1 + PROGRESS[person.group] * years)


def condition(person: Person, years: float = 0.0) -> Condition:
    """How a person is `years` after baseline.

    Examples
    --------
    >>> patient = draw_person(Group.AD, torch.Generator().manual_seed(0))
    >>> before, after = condition(patient), condition(patient, years=3)
    >>> after.volume[Region.HIPPOCAMPUS] < before.volume[Region.HIPPOCAMPUS]
    True
    """
    factors = {
        measure.value: {
            region: _factor(person, years, measure, region) for region in affected_regions(measure)
        }
        for measure in Measure
    }
    return Condition(age=person.age + years, **factors)


def _factor(person: Person, years: float, measure: Measure, region: Region) -> float:
    change = mean_change(person.group, measure, region)
    of_severity = change**2 * math.expm1(SEVERITY_SD**2)  # e^2 Var(s)
    own = math.sqrt(spread(measure, region) ** 2 - of_severity) * person.deviates[measure][region]
    ageing = AGEING.get(measure, {}).get(region)
    factor = 1 + change * severity(person, measure.modality, years) + own
    factor *= ageing.factor(person.age + years) if ageing else 1.0
    return min(max(factor, FACTOR_LIMITS[0]), FACTOR_LIMITS[1])
