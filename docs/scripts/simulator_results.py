"""Write the tables and pictures of docs/simulator.rst.

Usage, with a folder of FreeSurfer-style label maps, of which the training part is used::

    python docs/scripts/simulator_results.py contrasts LABEL_MAPS docs/results/simulator_contrasts.tsv
    python docs/scripts/simulator_results.py effects LABEL_MAPS docs/results/simulator_effects.tsv
    python docs/scripts/simulator_results.py figures LABEL_MAPS REAL_BIDS sub-01 docs/images

Aligned anatomies are kept in --work and used again; a run of `effects` that was stopped is continued.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pds_bids.app.anatomies import aligned_structures, label_maps, split
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import MODEL_GRID
from pds_bids.report.figures import to_png
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.cohort import Visit, plan_cohort
from pds_bids.simulation.disease import Condition, condition
from pds_bids.simulation.effects import AGEING, PATIENTS, Group, Measure, mean_change, spread
from pds_bids.simulation.fibres import fibre_directions
from pds_bids.simulation.head import Head, aged_anatomy, build_head, build_tissue, regional_means, tissue_maps
from pds_bids.simulation.physics import (
    TissueProperties,
    gre_signal,
    spin_echo_signal,
    tissue_properties,
    trace_signal,
)
from pds_bids.simulation.regions import Region
from pds_bids.simulation.scanner import Pose, head_scale, native_grid, point_spread, random_pose, render
from pds_bids.simulation.series import ACQUIRE, UNSTEADY_VOLUMES
from pds_bids.simulation.sites import Protocol

NEUTRAL = Condition(age=50.0, volume={}, md={}, fa={}, t2_star={})
"""Nobody's: every factor one."""

Values = NDArray[np.float64]


def anatomies(folder: Path, work: Path) -> list[Tensor]:
    """The training part of a folder of label maps, aligned to the template once."""
    paths = label_maps(folder)
    work.mkdir(parents=True, exist_ok=True)
    found = []
    for name in split([path.name for path in paths])["train"]:
        kept = work / f"{name}.npy"
        if not kept.is_file():
            np.save(kept, aligned_structures(folder / name, 1))
        found.append(torch.from_numpy(np.load(kept)))
    return found


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Tab-separated lines."""
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


# Contrasts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """An image to be had from a series, and the signal that it should show.

    Attributes
    ----------
    modality, protocol
        Of the series.
    volumes
        (T,) which of its volumes are averaged.
    signal
        The signal equation.
    """

    modality: Modality
    protocol: Protocol
    volumes: NDArray[np.bool_]
    signal: Callable[[TissueProperties], Tensor]


# Voxels small enough to lie in one structure; no coil that shades them, no motion that mixes them.
EVEN_AND_STILL: dict[str, Any] = {
    "shape": (112, 128, 104),
    "voxel_mm": (1.5, 1.5, 1.5),
    "orientation": "RAS",
    "bias_sd": 0.0,
    "motion_mm": 0.0,
}
BOLD = Protocol(**EVEN_AND_STILL, tr_s=3.0, te_s=0.030, flip_deg=90, n_volumes=13, snr=90)
DWI = Protocol(
    **EVEN_AND_STILL, tr_s=9.0, te_s=0.085, flip_deg=90, n_volumes=36, snr=28, b_value=1000, n_b0=6
)

CONTRASTS = {
    "BOLD": Contrast(
        Modality.BOLD,
        BOLD,
        np.arange(BOLD.n_volumes) >= UNSTEADY_VOLUMES,
        lambda tissue: gre_signal(tissue, tr_ms=3000, te_ms=30, flip_deg=90),
    ),
    "b0": Contrast(
        Modality.DWI, DWI, ~DWI.weighted, lambda tissue: spin_echo_signal(tissue, tr_ms=9000, te_ms=85)
    ),
    "powder b1000": Contrast(
        Modality.DWI,
        DWI,
        DWI.weighted,
        lambda tissue: trace_signal(tissue, tr_ms=9000, te_ms=85, b_value=1000),
    ),
}

COMPARED = (Structure.WHITE, Structure.CSF, Structure.PUTAMEN, Structure.PALLIDUM)

PURE = 0.95
"""Share of a voxel that one structure has to fill, counted with the point spread."""

TOLERANCE = 0.05


def contrasts(arguments: argparse.Namespace) -> None:
    """Compare contrasts measured in simulated native series with those of the signal equations."""
    measured: dict[str, list[dict[Structure, float]]] = {name: [] for name in CONTRASTS}
    n_voxels: Counter[Structure] = Counter()
    for number, anatomy in enumerate(anatomies(arguments.label_maps, arguments.work)[: arguments.n_heads]):
        head = neutral_head(anatomy, derived_seed(arguments.seed, number))
        generator = torch.Generator().manual_seed(derived_seed(arguments.seed, number, "scan"))
        pose = random_pose(generator, head_scale(generator))
        pure = pure_voxels(head, BOLD, pose)
        n_voxels.update({structure: int(where.sum()) for structure, where in pure.items()})
        scans = {c.modality: c.protocol for c in CONTRASTS.values()}
        series = {m: ACQUIRE[m](head, protocol, pose, generator).data for m, protocol in scans.items()}
        for name, contrast in CONTRASTS.items():
            image = series[contrast.modality][..., torch.from_numpy(contrast.volumes)].mean(-1)
            measured[name].append(
                {structure: float(image[where].mean()) for structure, where in pure.items()}
            )
    write_table(arguments.out, contrast_rows(measured, n_voxels))


def contrast_rows(
    measured: Mapping[str, Sequence[Mapping[Structure, float]]], n_voxels: Mapping[Structure, int]
) -> list[tuple[str, ...]]:
    """One line for each contrast of each structure with cortex; of several heads the mean."""
    rows = [("contrast", "structure", "theoretical", "simulated", "ratio", "n_voxels", "within_5_percent")]
    for name, contrast in CONTRASTS.items():
        signal = contrast.signal(tissue_properties())
        for structure in COMPARED:
            theoretical = float(signal[structure] / signal[Structure.CORTEX])
            simulated = float(np.mean([head[structure] / head[Structure.CORTEX] for head in measured[name]]))
            ratio = simulated / theoretical
            within = "yes" if abs(ratio - 1) <= TOLERANCE else "no"
            rows.append(
                (
                    name,
                    structure.name.lower(),
                    f"{theoretical:.3f}",
                    f"{simulated:.3f}",
                    f"{ratio:.3f}",
                    str(n_voxels[structure]),
                    within,
                )
            )
    return rows


def neutral_head(anatomy: Tensor, seed: int) -> Head:
    """A random variant of an anatomy whose tissue is that of the table, in a perfect field."""
    structures, regions = aged_anatomy(anatomy, NEUTRAL, torch.Generator().manual_seed(seed))
    tissue = tissue_properties().at(structures)
    return Head(structures, regions, tissue, fibre_directions(structures), torch.zeros(MODEL_GRID.shape))


def pure_voxels(head: Head, protocol: Protocol, pose: Pose) -> dict[Structure, Tensor]:
    """Native voxels that hold one structure alone, for cortex and those compared with it."""
    native = native_grid(protocol.shape, protocol.voxel_mm, protocol.orientation, protocol.tilt_deg)
    found = {}
    for structure in (Structure.CORTEX, *COMPARED):
        share = F.avg_pool3d((head.structures == structure)[None].float(), 2)
        seen = render(point_spread(share, native, pose), MODEL_GRID, native, pose.to_model)[0]
        found[structure] = seen > PURE
    return found


# Effects of disease -------------------------------------------------------------------------------

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


def effects(arguments: argparse.Namespace) -> None:
    """Compare what age and disease did to the voxels of many heads with what was asked for."""
    visits = plan_cohort(arguments.n_subjects, ["oasis"], seed=arguments.seed)
    maps = anatomies(arguments.label_maps, arguments.work)
    measure_subjects(visits, maps, arguments.subjects)
    groups, columns = read_subjects(arguments.subjects, len(visits))
    header = ("measure", "region", "group", "asked_percent", "percent", "asked_d", "drawn_d", "d", "raw_d")
    rows = [header]
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
                    with_interval(percent_change, *pairs["ratio"], "+.1f"),
                    f"{asked / spread(measure, region):+.2f}",
                    f"{cohens_d(*pairs['drawn']):+.2f}",
                    with_interval(cohens_d, *pairs["ratio"], "+.2f"),
                    f"{cohens_d(*pairs['value']):+.2f}",
                )
            )
    write_table(arguments.out, rows)


def column(kind: str, measure: Measure, region: Region) -> str:
    """Name of a column of the table of subjects."""
    return f"{kind}_{measure.value}_{region.name.lower()}"


def measure_subjects(visits: Sequence[Visit], maps: Sequence[Tensor], table: Path) -> None:
    """Add a line for every subject that has none yet."""
    names = [column(kind, *cell) for cell in AFFECTED for kind in KINDS]
    if not table.is_file():
        write_table(table, [("subject", "group", "age", *names)])
    done = len(table.read_text(encoding="utf-8").splitlines()) - 1
    for number, visit in enumerate(visits[done:], done):
        values = measure_subject(visit, maps[number % len(maps)])
        line = (
            visit.subject,
            visit.person.group.value,
            f"{visit.person.age:.2f}",
            *(f"{v:.6g}" for v in values),
        )
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


def read_subjects(table: Path, n: int) -> tuple[NDArray[np.str_], dict[str, Values]]:
    """Groups of the first `n` subjects, and every column of numbers."""
    names, *lines = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    cells = np.array(lines[:n])
    return cells[:, 1], {name: cells[:, i].astype(float) for i, name in enumerate(names) if i > 1}


def percent_change(healthy: Values, patients: Values) -> float:
    """Of the mean."""
    return float(100 * (patients.mean() / healthy.mean() - 1))


def cohens_d(healthy: Values, patients: Values) -> float:
    """Difference of the means over the pooled standard deviation."""
    n, m = len(healthy), len(patients)
    pooled = ((n - 1) * healthy.var(ddof=1) + (m - 1) * patients.var(ddof=1)) / (n + m - 2)
    return float((patients.mean() - healthy.mean()) / np.sqrt(pooled))


def with_interval(
    statistic: Callable[[Values, Values], float], healthy: Values, patients: Values, style: str
) -> str:
    """A statistic with its 95 % interval, from resampled subjects."""
    random = np.random.default_rng(0)
    draws = [
        statistic(*(random.choice(group, len(group)) for group in (healthy, patients)))
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{statistic(healthy, patients):{style}} [{low:{style}}, {high:{style}}]"


# Figures ------------------------------------------------------------------------------------------

SITES_SHOWN = ("oasis", "ppmi")
"""The coarsest and the finest diffusion series, which is that of the real one."""


def figures(arguments: argparse.Namespace) -> None:
    """Draw simulated scans beside those of a real session, and compare their statistics."""
    import simulator_figures as drawing

    anatomy = anatomies(arguments.label_maps, arguments.work)[0]
    (visit,) = plan_cohort(1, ["oasis"], groups=["nc"], seed=arguments.seed)
    head = build_head(anatomy, visit.person, visit.years, visit.seed)
    found = drawing.sessions(arguments.bids, arguments.subject, head, SITES_SHOWN, arguments.seed)
    write_table(arguments.table, drawing.statistics(found))
    pictures = {key.replace(" ", "_").lower(): drawing.draw_slices(found, key) for key in drawing.WHITE}
    for name, picture in (pictures | {"statistics": drawing.draw_statistics(found)}).items():
        (arguments.images / f"simulator_{name}.png").write_bytes(to_png(picture, dpi=round(picture.dpi)))


# Command line -------------------------------------------------------------------------------------


def main() -> None:
    """Run one sub-command."""
    parser = argparse.ArgumentParser(description="Tables and pictures of docs/simulator.rst")
    commands = parser.add_subparsers(required=True)

    def command(function: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=function.__doc__)
        added.set_defaults(function=function)
        added.add_argument("label_maps", type=Path, help="folder of FreeSurfer-style label maps")
        added.add_argument("--work", type=Path, default=Path("work"), help="where aligned anatomies are kept")
        return added

    of_contrasts = command(contrasts)
    of_contrasts.add_argument("out", type=Path, help="table to write")
    of_contrasts.add_argument("--n-heads", type=int, default=6)
    of_contrasts.add_argument("--seed", type=int, default=0)

    of_effects = command(effects)
    of_effects.add_argument("out", type=Path, help="table to write")
    of_effects.add_argument(
        "--subjects", type=Path, required=True, help="table of subjects, written or continued"
    )
    of_effects.add_argument("--n-subjects", type=int, default=200)
    of_effects.add_argument("--seed", type=int, default=0)

    of_figures = command(figures)
    of_figures.add_argument("bids", type=Path, help="dataset of real scans")
    of_figures.add_argument("subject", help="of the real scans")
    of_figures.add_argument("table", type=Path, help="table to write")
    of_figures.add_argument("images", type=Path, help="folder for the pictures")
    of_figures.add_argument("--seed", type=int, default=0)

    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.function(arguments)


if __name__ == "__main__":
    main()
