"""Write the record and the picture of docs/results.rst that come from real scans.

Usage, after the main job ran on a dataset in which participants have both modalities::

    pds-bids BIDS OUT participant --evaluate --omp-nthreads 1 --output-spaces native MNI152NLin2009aSym model
    python docs/scripts/real_results.py OUT sub-01 docs/results/real.json docs/images/sub-01.png
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pds_bids.app.provenance import software_versions
from pds_bids.app.scores import MAIN, TEMPLATE
from pds_bids.bids.writing import write_json
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_SPACE, load_volume
from pds_bids.report.encoding import to_png
from pds_bids.report.figures import Row, comparison

COMMAND = (
    "pds-bids BIDS OUT participant --evaluate --omp-nthreads 1 "
    "--output-spaces native MNI152NLin2009aSym model"
)


def record(out: Path) -> dict[str, Any]:
    """What happened, in the shape of an experiment's JSON."""
    rows = [
        row
        for path in sorted(out.glob("sub-*/log/scores.json"))
        for row in against_template(
            path.parents[1].name, json.loads(path.read_text(encoding="utf-8"))["scores"]
        )
    ]
    sidecar = json.loads(next(out.glob("sub-*/*/*_desc-synth_*.json")).read_text(encoding="utf-8"))
    made = sidecar["Synthesis"]
    return {
        "command": COMMAND,
        "subjects": "real",
        "weights_sha256": {made["model"]: made["weights_sha256"]},
        "seed": made["seed"],
        "software": software_versions(),
        "experiment": "real",
        "title": "Real people",
        "findings": list(findings(rows)),
        "tables": {"Real people": rows},
        "charts": [],
    }


def against_template(participant: str, scores: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The scores of a person, with what each candidate gains over the population template."""
    template = {score["target"]: score["psnr_db"] for score in scores if score["method"] == TEMPLATE}
    for score in scores:
        gain = score["psnr_db"] - template[score["target"]]
        yield {"participant": participant, **score, "above_template_db": round(gain, 2)}


def findings(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What happened, person by person; so few allow no inference."""
    for row in rows:
        if row["method"] == MAIN:
            who = f"{row['participant']}, {Modality(row['target']).full_name}"
            gain, held = f"{row['above_template_db']:+.2f} dB", f"{row['coverage_80']:.0%}"
            yield f"{who}: {gain} against the template; the 80 % interval holds {held} of the errors."


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
    outputs, participant, json_path, picture_path = sys.argv[1:]

    write_json(Path(json_path), record(Path(outputs)))
    write_picture(Path(outputs), participant, Path(picture_path))
