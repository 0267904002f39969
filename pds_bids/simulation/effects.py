"""How much age and disease change each region: the numbers, as published or [R] recalled and unconfirmed."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pds_bids.core.modality import Modality
from pds_bids.simulation.regions import Region


class Group(enum.StrEnum):
    """Diagnosis: normal cognition, mild cognitive impairment, Alzheimer's disease."""

    NC = "nc"
    MCI = "mci"
    AD = "ad"


class Measure(enum.StrEnum):
    """What changes in a region. The values name the fields of `Condition`."""

    VOLUME = "volume"
    MD = "md"
    FA = "fa"
    T2_STAR = "t2_star"

    @property
    def modality(self) -> Modality | None:
        """The modality that alone sees this measure; None for geometry, which both see."""
        return SEEN_BY.get(self)


SEEN_BY = {Measure.MD: Modality.DWI, Measure.FA: Modality.DWI, Measure.T2_STAR: Modality.BOLD}

PATIENTS = (Group.MCI, Group.AD)
"""Columns of the two tables below."""

RELATIVE_CHANGE: Mapping[Measure, Mapping[Region, tuple[float, float]]] = {
    Measure.VOLUME: {
        Region.HIPPOCAMPUS: (-0.105, -0.21),  # Palesi 2012
        Region.VENTRICLES: (0.22, 0.45),  # [R]
        Region.POSTERIOR_CINGULATE: (0.0, -0.06),
    },
    Measure.T2_STAR: {  # [R] iron; -2 % is -1 % of a mean BOLD volume at TE 30 ms
        Region.HIPPOCAMPUS: (-0.01, -0.02),
        Region.TEMPORAL: (-0.01, -0.02),
        Region.PARIETAL: (-0.01, -0.02),
        Region.POSTERIOR_CINGULATE: (-0.01, -0.02),
    },
}
"""Mean change of a group relative to healthy people of the same age."""

COHENS_D: Mapping[Measure, Mapping[Region, tuple[float, float]]] = {
    Measure.MD: {
        Region.HIPPOCAMPUS: (1.08, 0.60),  # really lower in AD than in MCI
        Region.TEMPORAL: (0.55, 0.73),
        Region.PARIETAL: (0.86, 0.72),
        Region.POSTERIOR_CINGULUM: (0.32, 0.69),
    },
    Measure.FA: {
        Region.PARAHIPPOCAMPAL: (-0.97, -0.67),
        Region.SPLENIUM: (-0.60, -0.70),
    },
}
"""The same in standard deviations: Alzheimer's Res Ther 2013, 5:alzrt200, table 4."""

SPREAD: Mapping[Measure, float] = {Measure.MD: 0.05, Measure.FA: 0.06, Measure.T2_STAR: 0.02}
"""Relative standard deviation between healthy people of one age; FA and T2* [R]."""

VOLUME_SPREAD: Mapping[Region, float] = {
    Region.HIPPOCAMPUS: 0.10,
    Region.VENTRICLES: 0.20,
    Region.POSTERIOR_CINGULATE: 0.08,
    Region.TEMPORAL: 0.05,
    Region.PARIETAL: 0.05,
}
"""The same for the volumes that change at all [R]; anatomies differ by nature on top of it."""

FACTOR_LIMITS = (0.4, 3.0)
"""Beyond these a volume has no room left, or nothing of it remains; no other measure comes near."""

FLUID = frozenset({Region.NONE, Region.VENTRICLES})
"""Where water diffuses freely, or nothing is known: no change of MD, FA and T2*."""

REFERENCE_AGE = 50.0
"""Where the ageing factors are one: the anatomies that they are applied to are of mixed age [R]."""


@dataclass(frozen=True)
class Ageing:
    """A change that sets in smoothly: none long before `onset`, `yearly` (of the logarithm) long after.

    Attributes
    ----------
    yearly
        Change of the logarithm per year.
    onset, width
        In years; half of the yearly change is reached at `onset`.
    """

    yearly: float
    onset: float = 60.0
    width: float = 8.0

    def factor(self, age: float) -> float:
        """Change since `REFERENCE_AGE`."""
        return math.exp(self.yearly * (self._years(age) - self._years(REFERENCE_AGE)))

    def _years(self, age: float) -> float:
        return self.width * math.log1p(math.exp((age - self.onset) / self.width))


CORTICAL_THINNING = Ageing(-0.003, onset=20.0)

AGEING: Mapping[Measure, Mapping[Region, Ageing]] = {
    Measure.VOLUME: {
        Region.HIPPOCAMPUS: Ageing(-0.011),
        Region.VENTRICLES: Ageing(0.02, width=12.0),
        Region.TEMPORAL: CORTICAL_THINNING,
        Region.PARIETAL: CORTICAL_THINNING,
        Region.POSTERIOR_CINGULATE: CORTICAL_THINNING,
    },
    Measure.MD: {region: Ageing(0.001) for region in Region if region not in FLUID},
}
"""Plausible slopes [R]."""


def affected_regions(measure: Measure) -> tuple[Region, ...]:
    """Regions of which a measure differs between people."""
    if measure is Measure.VOLUME:
        return tuple(VOLUME_SPREAD)
    return tuple(region for region in Region if region not in FLUID)


def spread(measure: Measure, region: Region) -> float:
    """Relative standard deviation of a measure within a group of people of one age."""
    return VOLUME_SPREAD[region] if measure is Measure.VOLUME else SPREAD[measure]


def mean_change(group: Group, measure: Measure, region: Region) -> float:
    """Change of the group mean relative to healthy people of the same age: e = d sd where d is published."""
    if group not in PATIENTS:
        return 0.0
    column = PATIENTS.index(group)
    if region in COHENS_D.get(measure, {}):
        return COHENS_D[measure][region][column] * spread(measure, region)
    return RELATIVE_CHANGE.get(measure, {}).get(region, (0.0, 0.0))[column]
