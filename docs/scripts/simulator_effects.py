"""What age and disease did to the voxels of simulated heads, against what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from simulator_contrasts import NEUTRAL
from torch import Tensor

from pds_bids.core.seeds import derived_seed
from pds_bids.simulation.cohort import Visit
from pds_bids.simulation.disease import condition
from pds_bids.simulation.effects import AGEING, PATIENTS, Group, Measure, mean_change, spread
from pds_bids.simulation.head import aged_anatomy, build_tissue, regional_means, tissue_maps
from pds_bids.simulation.regions import Region

Values = NDArray[np.float64]

AFFECTED = [
    (measure, region)
    for measure in Measure
    for region in Region
    if any(mean_change(group, measure, region) for group in PATIENTS)
]
"""What a group differs in."""

KINDS = ("drawn", "ratio", "value")
"""The factor of the plan; what the head has over what it had without age and disease; what the head has."""

BOOTSTRAPS = 2000


def effect_table(subjects: Path) -> list[tuple[str, ...]]:
    """What was asked for, drawn for these people, and measured in their heads.

    Parameters
    ----------
    subjects
        Table that `measure_subjects` wrote.
    """
    groups, columns = _read(subjects)
    rows: list[tuple[str, ...]] = [
        ("measure", "region", "group", "asked_percent", "percent", "asked_d", "drawn_d", "d", "raw_d")
    ]
    for measure, region in AFFECTED:
        for group in PATIENTS:
            pairs = {
                kind: [columns[column(kind, measure, region)][groups == g] for g in (Group.NC, group)]
                for kind in KINDS
            }
            asked = mean_change(group, measure, region)
            rows.append(
                (
                    measure.value,
                    region.name.lower(),
                    group.value,
                    f"{100 * asked:+.1f}",
                    with_interval(percent_change, pairs["ratio"], "+.1f"),
                    f"{asked / spread(measure, region):+.2f}",
                    f"{cohens_d(*pairs['drawn']):+.2f}",
                    with_interval(cohens_d, pairs["ratio"], "+.2f"),
                    f"{cohens_d(*pairs['value']):+.2f}",
                )
            )
    return rows


def column(kind: str, measure: Measure, region: Region) -> str:
    """Name of a column of the table of subjects."""
    return f"{kind}_{measure.value}_{region.name.lower()}"


def measure_subjects(visits: Sequence[Visit], maps: Sequence[Tensor], table: Path) -> None:
    """Add a line for every subject that has none yet."""
    names = [column(kind, *cell) for cell in AFFECTED for kind in KINDS]
    if not table.is_file():
        _append(table, ("subject", "group", "age", *names))
    done = len(table.read_text(encoding="utf-8").splitlines()) - 1
    for number, visit in enumerate(visits[done:], done):
        values = measure_subject(visit, maps[number % len(maps)])
        line = (
            visit.subject,
            visit.person.group.value,
            f"{visit.person.age:.2f}",
            *(f"{v:.6g}" for v in values),
        )
        _append(table, line)


def _append(table: Path, line: Sequence[str]) -> None:
    with table.open("a", encoding="utf-8") as file:
        file.write("\t".join(line) + "\n")


def measure_subject(visit: Visit, anatomy: Tensor) -> list[float]:
    """The three `KINDS` of every affected region, the first two divided by the factor of the person's age."""

    def generator(purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(visit.seed, purpose))

    structures, regions, tissue = build_tissue(anatomy, visit.person, visit.years, visit.seed)
    today = condition(visit.person, visit.years)
    after = regional_means(regions, tissue)
    plain = regional_means(regions, tissue_maps(structures, regions, NEUTRAL, generator("tissue")))
    before = regional_means(aged_anatomy(anatomy, NEUTRAL, generator("anatomy"))[1], tissue)
    values: list[float] = []
    for measure, region in AFFECTED:
        name = "volume_ml" if measure is Measure.VOLUME else measure.value
        reference = before if measure is Measure.VOLUME else plain
        ageing = AGEING.get(measure, {}).get(region)
        years = ageing.factor(visit.person.age) if ageing else 1.0
        value = getattr(after[region], name)
        factor = getattr(today, measure.value)[region]
        values += [factor / years, value / getattr(reference[region], name) / years, value]
    return values


def _read(table: Path) -> tuple[NDArray[np.str_], dict[str, Values]]:
    """Groups of the subjects, and every column of numbers."""
    names, *lines = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    cells = np.array(lines)
    return cells[:, 1], {name: cells[:, i].astype(float) for i, name in enumerate(names) if i > 1}


def percent_change(healthy: Values, patients: Values) -> float:
    """Of the mean."""
    return float(100 * (patients.mean() / healthy.mean() - 1))


def cohens_d(healthy: Values, patients: Values) -> float:
    """Difference of the means over the pooled standard deviation."""
    n, m = len(healthy), len(patients)
    pooled = ((n - 1) * healthy.var(ddof=1) + (m - 1) * patients.var(ddof=1)) / (n + m - 2)
    return float((patients.mean() - healthy.mean()) / np.sqrt(pooled))


def with_interval(statistic: Callable[[Values, Values], float], groups: Sequence[Values], style: str) -> str:
    """A statistic of healthy people and patients with its 95 % interval, from resampled subjects."""
    random = np.random.default_rng(0)
    draws = [statistic(*(random.choice(group, len(group)) for group in groups)) for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{statistic(*groups):{style}} [{low:{style}}, {high:{style}}]"
