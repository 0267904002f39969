"""Write how well anything could predict the simulated targets: the same subject, scanned again and again.

    python docs/scripts/simulation_bound.py LABEL_MAPS docs/results/simulation_bound.tsv [SUBJECTS [SCANS]]

A method that knew the body, the static field and all that scans of it share could at best say the mean of all
scans. What a single scan differs from that mean is drawn anew each time: texture, gains, bias.
The subjects are people of the anatomies that the card of the bundled weights lists for calibration.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pds_bids.app.anatomies import aligned_structures
from pds_bids.app.modelcard import interval_text
from pds_bids.app.testbed import maps_of
from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.evaluation.comparison import interval
from pds_bids.models.checkpoint import load_checkpoint
from pds_bids.simulation.atrophy import VolumesNotReached
from pds_bids.simulation.disease import draw_anybody
from pds_bids.simulation.pairs import repeated_targets

SEED = 20


def scans(structures: torch.Tensor, seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(M, n, X, Y, Z) one subject's targets in units of the brain's median, and the brain."""
    generator = torch.Generator().manual_seed(seed)
    try:
        targets, share = repeated_targets(structures, generator, n, draw_anybody(generator))
    except VolumesNotReached:
        return scans(structures, derived_seed(seed, "another person"), n)
    brain = share.numpy() > 0.5
    images = [[t[m].numpy() / np.median(t[m].numpy()[brain]) for t in targets] for m in Modality]
    return np.clip(np.array(images, np.float64), 0, 2), brain


def ceiling_db(images: NDArray[np.float64], brain: NDArray[np.bool_]) -> float:
    """PSNR (range 2) of the mean of infinitely many scans, from the spread of n; images are (n, X, Y, Z)."""
    return float(10 * np.log10(4 / images[:, brain].var(axis=0, ddof=1).mean()))


def main(folder: Path, out: Path, subjects: int = 12, n: int = 6) -> None:
    """One row a modality."""
    torch.set_num_threads(1)
    maps = maps_of(load_checkpoint("base"), "calibration", folder)
    bodies = [torch.from_numpy(aligned_structures(path, 1)) for path in maps.values()]
    anatomy = np.arange(subjects) % len(bodies)
    found = []
    for subject, number in enumerate(anatomy):
        images, brain = scans(bodies[number], derived_seed(SEED, "bound", subject), n)
        found.append([ceiling_db(image, brain) for image in images])
    lines = ["target\tsubjects\tscans of each\tceiling of PSNR, dB"]
    for modality, values in zip(Modality, np.array(found).T, strict=True):
        told = interval(values, anatomy, SEED)
        lines.append(f"{modality}\t{subjects}\t{n}\t{interval_text(told, 2)}")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *(int(a) for a in sys.argv[3:]))
