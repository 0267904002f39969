r"""Write the tables and pictures of docs/simulator.rst.

Usage, with a folder of FreeSurfer-style label maps (their training part is used) and a BIDS dataset::

    cd docs
    python scripts/simulator_results.py sites results/simulator_sites.tsv
    python scripts/simulator_results.py contrasts LABEL_MAPS results/simulator_contrasts.tsv
    python scripts/simulator_results.py effects LABEL_MAPS results/simulator_effects.tsv \
        --subjects results/simulator_subjects.tsv
    python scripts/simulator_results.py figures LABEL_MAPS BIDS sub-01 results/simulator_realism.tsv images

Aligned anatomies are kept in --work and used again; `effects` continues a table of subjects that it finds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import simulator_figures as drawing
import torch
from simulator_contrasts import contrast_table
from simulator_effects import effect_table, measure_subjects
from torch import Tensor

from pds_bids.app.anatomies import aligned_structures, label_maps, split
from pds_bids.report.encoding import to_png
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.cohort import plan_cohort
from pds_bids.simulation.head import build_head
from pds_bids.simulation.sites import SITES, Protocol

WORK = Path(tempfile.gettempdir(), "aligned-anatomies")

SITES_SHOWN = ("oasis", "ppmi")
"""The coarsest and the finest diffusion series, which is that of the real one."""


def sites(arguments: argparse.Namespace) -> None:
    """Tabulate the protocols of all sites."""
    write_table(arguments.out, site_table())


def contrasts(arguments: argparse.Namespace) -> None:
    """Compare contrasts of simulated series with those of the signal equations."""
    heads = anatomies(arguments.label_maps, arguments.work)[: arguments.n_heads]
    write_table(arguments.out, contrast_table(heads, arguments.seed))


def effects(arguments: argparse.Namespace) -> None:
    """Compare effects of disease measured in heads with those asked for."""
    visits = plan_cohort(arguments.n_subjects, ["oasis"], seed=arguments.seed)
    measure_subjects(visits, anatomies(arguments.label_maps, arguments.work), arguments.subjects)
    write_table(arguments.out, effect_table(arguments.subjects))


def figures(arguments: argparse.Namespace) -> None:
    """Draw simulated scans beside those of a real session, and compare their statistics."""
    # a young head, as the real one is: wide sulci would look different however well they were simulated
    anatomy = min(anatomies(arguments.label_maps, arguments.work), key=_ventricles)
    ages = (arguments.age, arguments.age)
    (visit,) = plan_cohort(1, ["oasis"], groups=["nc"], seed=arguments.seed, ages=ages)
    head = build_head(anatomy, visit.person, visit.years, visit.seed)
    found = drawing.sessions(arguments.bids, arguments.subject, head, SITES_SHOWN, arguments.seed)
    write_table(arguments.table, drawing.statistics(found))
    pictures = {key.replace(" ", "_").lower(): drawing.draw_slices(found, key) for key in drawing.WHITE}
    for name, picture in (pictures | {"statistics": drawing.draw_statistics(found)}).items():
        (arguments.images / f"simulator_{name}.png").write_bytes(to_png(picture, dpi=round(picture.dpi)))


def _ventricles(anatomy: Tensor) -> int:
    """Number of voxels."""
    return int((anatomy == Structure.CSF).sum())


def site_table() -> list[tuple[str, ...]]:
    """Protocols of all sites."""
    rows: list[tuple[str, ...]] = [
        ("site", "image", "matrix", "voxel_mm", "axes", "tilt_deg", "tr_s", "te_ms", "flip_deg")
    ]
    rows[0] += ("phase", "readout_ms", "volumes", "b0", "b", "snr")
    for site in SITES.values():
        for name, protocol in {"T1w": site.t1w, **site.protocols}.items():
            rows.append((site.name, str(name), *_cells(protocol)))
    return rows


def _cells(protocol: Protocol) -> tuple[str, ...]:
    """What the header of `site_table` names."""
    epi = protocol.readout_s > 0
    return (
        " x ".join(map(str, protocol.shape)),
        " x ".join(f"{edge:g}" for edge in protocol.voxel_mm),
        protocol.orientation,
        f"{protocol.tilt_deg:g}",
        f"{protocol.tr_s:g}",
        f"{1e3 * protocol.te_s:g}",
        f"{protocol.flip_deg:g}",
        protocol.phase_direction if epi else "",
        f"{1e3 * protocol.readout_s:g}" if epi else "",
        str(protocol.n_volumes),
        str(protocol.n_b0) if protocol.b_value else "",
        f"{protocol.b_value:g}" if protocol.b_value else "",
        f"{protocol.snr:g}",
    )


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


def main() -> None:
    """Run one sub-command."""
    parser = argparse.ArgumentParser(description="Tables and pictures of docs/simulator.rst")
    commands = parser.add_subparsers(required=True)

    def command(
        function: Callable[[argparse.Namespace], None], anatomical: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=function.__doc__)
        added.set_defaults(function=function)
        if anatomical:
            added.add_argument("label_maps", type=Path, help="folder of FreeSurfer-style label maps")
            added.add_argument("--work", type=Path, default=WORK, help="keeps the aligned anatomies")
            added.add_argument("--seed", type=int, default=0)
        return added

    of_sites = command(sites, anatomical=False)
    of_sites.add_argument("out", type=Path, help="table to write")

    of_contrasts = command(contrasts)
    of_contrasts.add_argument("out", type=Path, help="table to write")
    of_contrasts.add_argument("--n-heads", type=int, default=6)

    of_effects = command(effects)
    of_effects.add_argument("out", type=Path, help="table to write")
    of_effects.add_argument(
        "--subjects", type=Path, required=True, help="table of subjects, written or continued"
    )
    of_effects.add_argument("--n-subjects", type=int, default=200)

    of_figures = command(figures)
    of_figures.add_argument("bids", type=Path, help="dataset of real scans")
    of_figures.add_argument("subject", help="of the real scans")
    of_figures.add_argument("table", type=Path, help="table to write")
    of_figures.add_argument("images", type=Path, help="folder for the pictures")
    of_figures.add_argument("--age", type=float, default=41.0, help="of the simulated person")

    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.function(arguments)


if __name__ == "__main__":
    main()
