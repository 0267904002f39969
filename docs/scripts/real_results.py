"""Write the table and the picture of docs/results.rst that come from real scans.

Usage, after the main job ran on a dataset in which participants have both modalities::

    pds-bids BIDS OUT participant --evaluate --omp-nthreads 1 --output-spaces native MNI152NLin2009aSym model
    python docs/scripts/real_results.py OUT sub-01 docs/results/real.tsv docs/images/sub-01.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_SPACE, load_volume
from pds_bids.report.figures import Row, comparison, to_png

COLUMNS = ("target", "method", "psnr_db", "ssim", "mae", "coverage_80", "n_voxels")


def write_table(out: Path, table: Path) -> None:
    """One line per participant, direction and method."""
    rows = [("participant_id", *COLUMNS)]
    for path in sorted(out.glob("sub-*/log/scores.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        rows += [
            (path.parents[1].name, *("n/a" if score[name] is None else str(score[name]) for name in COLUMNS))
            for score in scores
        ]
    table.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def write_picture(out: Path, subject: str, picture: Path) -> None:
    """Acquired above synthesised for each modality, in model space."""
    rows = []
    for modality in Modality:
        for desc, synthetic in (("preproc", False), ("synth", True)):
            pattern = f"*_space-model_res-2_desc-{desc}_{modality.mean_suffix}.nii.gz"
            path = next((out / subject / modality.datatype).glob(pattern))
            label = f"{'synthesised' if synthetic else 'acquired'} {modality.full_name}"
            rows.append(Row(label, load_volume(path, MODEL_SPACE), synthetic))
    picture.write_bytes(to_png(comparison(rows, title=f"{subject}: acquired and synthesised mean volumes")))


if __name__ == "__main__":
    outputs, participant, table_path, picture_path = sys.argv[1:]
    write_table(Path(outputs), Path(table_path))
    write_picture(Path(outputs), participant, Path(picture_path))
