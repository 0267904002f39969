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

HEADER = ("site", "target", "method", "subjects", "psnr_db", "lowest", "highest", "ssim", "coverage_80")


def write_table(study: Path, out: Path, table: Path) -> None:
    """One line per site, direction and method: mean and range of the masked PSNR, mean SSIM and coverage."""
    with (study / "participants.tsv").open(encoding="utf-8") as stream:
        site = {row["participant_id"]: row["site"] for row in csv.DictReader(stream, delimiter="\t")}
    cells: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for path in sorted(out.glob("sub-*/log/scores.json")):
        for score in json.loads(path.read_text(encoding="utf-8"))["scores"]:
            key = (site[path.parents[1].name], score["target"], score["method"])
            cells.setdefault(key, []).append(score)
    lines = ["\t".join(HEADER)]
    for key, scores in sorted(cells.items()):
        psnr = [score["psnr_db"] for score in scores]
        known = [score["coverage_80"] for score in scores if score["coverage_80"] is not None]
        numbers = (mean(psnr), min(psnr), max(psnr))
        coverage = f"{mean(known):.2f}" if known else "n/a"
        ssim = mean(score["ssim"] for score in scores)
        lines.append(
            "\t".join((*key, str(len(scores)), *(f"{n:.2f}" for n in numbers), f"{ssim:.3f}", coverage))
        )
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_table(*map(Path, sys.argv[1:]))
