"""Write the table of docs/simulator.rst that comes from the app's own run on a simulated study.

Usage::

    pds-model simulate STUDY --n-subjects 12 --label-maps HELD_OUT --sites oasis hospital --missing 0
    pds-bids STUDY OUT participant --evaluate --omp-nthreads 1 --output-spaces native
    python docs/scripts/study_results.py STUDY OUT docs/results/simulator_study.tsv
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from statistics import mean

from pds_bids.app.scores import TEMPLATE

HEADER = (
    "site", "target", "method", "subjects", "psnr_db", "lowest", "highest", "ssim", "coverage_80",
    "over_template_db", "least", "most",
)  # fmt: skip


def write_table(study: Path, out: Path, table: Path) -> None:
    """One line per site, direction and method.

    Mean and range of the masked PSNR, mean SSIM and coverage, and mean and range of what the PSNR is more
    than that of the template in the same person.
    """
    with (study / "participants.tsv").open(encoding="utf-8") as stream:
        site = {row["participant_id"]: row["site"] for row in csv.DictReader(stream, delimiter="\t")}
    cells: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for path in sorted(out.glob("sub-*/log/scores.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))["scores"]
        usual = {one["target"]: one["psnr_db"] for one in scores if one["method"] == TEMPLATE}
        for score in scores:
            score["over"] = score["psnr_db"] - usual[score["target"]]
            key = (site[path.parents[1].name], score["target"], score["method"])
            cells.setdefault(key, []).append(score)
    lines = ["\t".join(HEADER)]
    for key, scores in sorted(cells.items()):
        psnr, over = ([score[name] for score in scores] for name in ("psnr_db", "over"))
        known = [score["coverage_80"] for score in scores if score["coverage_80"] is not None]
        coverage = f"{mean(known):.2f}" if known else "n/a"
        ssim = mean(score["ssim"] for score in scores)
        spreads = [[f"{n:.2f}" for n in (mean(of), min(of), max(of))] for of in (psnr, over)]
        lines.append("\t".join((*key, str(len(scores)), *spreads[0], f"{ssim:.3f}", coverage, *spreads[1])))
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_table(*map(Path, sys.argv[1:]))
