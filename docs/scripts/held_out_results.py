"""Write the tables of docs/results.rst that come from held-out anatomies, and put them into a model's card.

Usage, after ``pds-model evaluate ... --out docs/results/held_out.tsv``::

    python docs/scripts/held_out_results.py docs/results/held_out.json pds_bids/weights/base.safetensors
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pds_bids.app.modelcard import interval_text
from pds_bids.models.checkpoint import annotate

TABLES: Mapping[str, Mapping[str, int]] = {
    "quality": {"psnr_db": 2, "ssim": 3, "mae": 3, "sharpness": 2},
    "gains": {"main_gain_psnr_db": 2, "main_gain_sharpness": 2},
    "coverage": {
        "coverage_90": 3,
        "coverage_90_grey": 3,
        "coverage_90_white": 3,
        "coverage_90_csf": 3,
    },
}
"""Columns of each table and their decimal places; rows without any of them are left out."""


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, int]) -> str:
    """Tab-separated."""
    lines = [("target", "method", "n", *columns)]
    for row in rows:
        if any(row[name] is not None for name in columns):
            cells = (interval_text(row[name], digits) for name, digits in columns.items())
            lines.append((row["target"], row["method"], str(row["n"]), *cells))
    return "".join("\t".join(line) + "\n" for line in lines)


if __name__ == "__main__":
    results, checkpoint = map(Path, sys.argv[1:])
    about = json.loads(results.read_text(encoding="utf-8"))
    for name, columns in TABLES.items():
        results.with_name(f"{results.stem}_{name}.tsv").write_text(
            table(about["rows"], columns), encoding="utf-8"
        )
    annotate(checkpoint, metrics=about["rows"])
