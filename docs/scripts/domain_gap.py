"""Write how simulated training pairs compare with real scans as the networks see both.

Usage, after the main job ran on real scans::

    pds-bids BIDS OUT participant --output-spaces native MNI152NLin2009aSym model
    python docs/scripts/domain_gap.py OUT LABEL_MAPS docs/results/domain_gap.tsv [PAIRS_PER_LABEL_MAP]

No value of the simulator is fitted to a scan, but its ranges were widened with a table like this one in view:
where real scans lie inside, that describes the simulator and is no independent test of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures, label_maps
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, load_volume
from pds_bids.simulation.pairs import simulate_pairs

PERCENTILES = (1, 5, 25, 75, 95, 99)

BANDS_PER_MM = ((0.02, 0.05), (0.05, 0.1), (0.1, 0.2))
"""Spatial frequencies: lobes, gyri, and what is as fine as the grid."""

COLUMNS = ("sd", *(f"p{p}" for p in PERCENTILES), *(f"power_db_{a:g}_{b:g}_per_mm" for a, b in BANDS_PER_MM))

RANGE = (5, 50, 95)
"""Percentiles over simulated pairs."""

CEILING = 3.0
"""Relative intensities above are cut: a few hot voxels must not make the standard deviation."""

Rows = list[tuple[Modality, str, str, NDArray[np.float64]]]
"""Modality, role, name and `measures` of a volume or of a percentile."""


def measures(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`COLUMNS` of a volume on `MODEL_GRID` relative to its median in the mask."""
    relative = np.clip(image / np.median(image[mask]), 0, CEILING)
    deviation = (relative - relative[mask].mean()) * mask
    power = np.abs(np.fft.fftn(deviation)) ** 2 / mask.sum() / mask.size
    axes = [np.fft.fftfreq(n, mm) for n, mm in zip(MODEL_GRID.shape, MODEL_GRID.voxel_mm, strict=True)]
    frequency = np.linalg.norm(np.meshgrid(*axes, indexing="ij"), axis=0)
    bands = [power[(low <= frequency) & (frequency < high)].sum() for low, high in BANDS_PER_MM]
    inside = relative[mask]
    return np.array([inside.std(), *np.percentile(inside, PERCENTILES), *(10 * np.log10(bands))])


def real_rows(derivatives: Path) -> Iterator[tuple[Modality, str, str, NDArray[np.float64]]]:
    """One row per acquired mean volume in model space."""
    for modality in Modality:
        ending = f"_space-model_res-2_desc-preproc_{modality.mean_suffix}.nii.gz"
        for path in sorted(derivatives.rglob(f"*{ending}")):
            name = path.name.removesuffix(ending)
            mask = load_volume(
                path.with_name(f"{name}_space-model_res-2_desc-brain_mask.nii.gz"), MODEL_SPACE
            )
            image = load_volume(path, MODEL_SPACE)
            yield modality, "real", name, measures(image.data, mask.data > 0)


def simulated_rows(maps: Sequence[Path], per_map: int) -> Rows:
    """`RANGE` of the measures over simulated pairs, for sources and targets of each modality."""
    found: dict[tuple[Modality, str], list[NDArray[np.float64]]] = {}
    for number, path in enumerate(maps):
        structures = torch.from_numpy(aligned_structures(path, threads=1))
        generator = torch.Generator().manual_seed(derived_seed(0, "domain gap", number))
        for pair in simulate_pairs(structures, generator, per_map):
            for role, images in (("source", pair.sources), ("target", pair.targets)):
                for m, image in images.items():
                    found.setdefault((m, role), []).append(measures(image.numpy(), pair.masks[m].numpy()))
    return [
        (modality, role, f"percentile {percentile}", row)
        for (modality, role), values in found.items()
        for percentile, row in zip(RANGE, np.percentile(values, RANGE, axis=0), strict=True)
    ]


if __name__ == "__main__":
    out, folder, table, *rest = sys.argv[1:]
    rows = simulated_rows(label_maps(Path(folder), 1), int(rest[0]) if rest else 2) + list(
        real_rows(Path(out))
    )
    lines = ["\t".join(("modality", "role", "name", *COLUMNS))]
    lines += ["\t".join((m.value, role, name, *(f"{v:.3f}" for v in row))) for m, role, name, row in rows]
    Path(table).write_text("\n".join(lines) + "\n", encoding="utf-8")
