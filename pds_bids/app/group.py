"""The group level: one row per visit, from the participant outputs alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError

COLUMNS = {
    "participant_id": "Participant",
    "session_id": "Session; n/a where the dataset has none",
    "status": "How the latest run of this visit ended",
    "synthetic": "SYNTHETIC volumes in this dataset, by suffix; never acquired data",
    "message": "What was done, or why it failed",
    "seconds": "Duration of that run",
}


def run(config: Config) -> int:
    """Write `group_synthesis.tsv` and its data dictionary. Reads OUTPUT_DIR only.

    Raises
    ------
    NoUsableParticipantError
        If the participant level has not run.
    """
    out = config.output_dir
    visits = sorted({status.parents[2] for status in out.glob("sub-*/**/log/*/status.json")})
    if not visits:
        raise NoUsableParticipantError(
            f"{out}: holds no participant outputs; run the participant level first"
        )
    rows = [row for visit in visits if (row := _row(visit))]
    lines = ["\t".join(COLUMNS), *("\t".join(str(row[name]) for name in COLUMNS) for row in rows)]
    write_text(out / "group_synthesis.tsv", "\n".join(lines) + "\n")
    write_json(out / "group_synthesis.json", {name: {"Description": text} for name, text in COLUMNS.items()})
    print(f"{len(rows)} visits: {out / 'group_synthesis.tsv'}")
    return 0


def _row(visit: Path) -> dict[str, Any] | None:
    """The row of a visit; None, with a line, where its status cannot be read."""
    latest = max((visit / "log").glob("*/status.json"), key=lambda path: path.parent.name)
    try:
        status = json.loads(latest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{latest}: cannot be read ({error}); run this participant again", file=sys.stderr)
        return None
    subject, _, session = status["visit"].partition("/")
    synthetic = sorted(
        {p.name.split("_")[-1].removesuffix(".nii.gz") for p in visit.glob("*/*_desc-synth_*.nii.gz")}
    )
    return {
        "participant_id": subject,
        "session_id": session or "n/a",
        "status": status["status"],
        "synthetic": ",".join(synthetic) or "n/a",
        "message": " ".join(status["message"].split()) or "n/a",
        "seconds": status["seconds"],
    }
