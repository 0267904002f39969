"""The group level: one row per visit, from the participant outputs alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pds_bids.app import groupscores, quality
from pds_bids.app.grouppage import group_page
from pds_bids.bids.completion import completing_run
from pds_bids.bids.tables import MISSING, table
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError
from pds_bids.core.modality import Modality
from pds_bids.report.templating import count_of

COLUMNS = {
    "participant_id": "Participant",
    "session_id": "Session; n/a where the dataset has none",
    "status": "How the run ended that made what is here of this visit; without one, the latest run",
    "synthetic": "SYNTHETIC volumes in this dataset, by suffix; never acquired data",
    "missing": "Modalities neither acquired nor synthesised; n/a where none is missing",
    "message": "What was done, with warnings; or why it was not",
    "seconds": "Duration of that run",
    "flags": f"Columns whose value is beyond its limit, or, of {quality.LEAST_VISITS} visits or more, "
    f"{quality.OUTLYING_SD} robust standard deviations from the median",
}

CRASH = "Where the program itself failed: the file, below this folder, to report it with"

INTERRUPTED = {
    "status": "interrupted",
    "message": "a run is under way or was killed; run the same command again",
    "seconds": "n/a",
}


def run(config: Config) -> int:
    """Write `group_synthesis.tsv` with its data dictionary and page, and `group_scores.tsv` where any visit
    was scored. Reads OUTPUT_DIR only.

    Raises
    ------
    NoUsableParticipantError
        If the participant level has not run.
    """
    out = config.output_dir
    ended = {status.parents[2] for status in out.glob("sub-*/**/log/*/status.json")}
    visits = sorted(ended | {lock.parents[1] for lock in out.glob("sub-*/**/log/lock")})
    if not visits:
        raise NoUsableParticipantError(
            f"{out}: holds no participant outputs; run the participant level first"
        )
    rows = [
        row | quality.values_of(visit) | groupscores.values_of(visit)
        for visit in visits
        if (row := _row(out, visit))
    ]
    for row, flagged in zip(rows, quality.flags(rows), strict=True):
        row["flags"] = ",".join(flagged) or MISSING
    crash = {"crash": CRASH} if any("crash" in row for row in rows) else {}
    columns = COLUMNS | crash | quality.columns(rows) | groupscores.columns(rows)
    _write_table(out / "group_synthesis.tsv", columns, rows)
    means = groupscores.summarised(rows, [row["participant_id"] for row in rows])
    for old in out.glob("group_scores.*"):
        old.unlink()
    if means:
        _write_table(out / "group_scores.tsv", groupscores.SUMMARY, [asdict(mean) for mean in means])
    findings = groupscores.findings(means)
    write_text(out / "group_synthesis.html", group_page(out, rows, means, findings))
    print("\n".join([*findings, f"{count_of(len(rows), 'visit')}: {out / 'group_synthesis.tsv'}"]))
    return 0


def _write_table(path: Path, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Tab-separated values, and beside them what the columns mean."""
    cells = ([_cell(row.get(name)) for name in columns] for row in rows)
    write_text(path, table(list(columns), cells))
    write_json(path.with_suffix(".json"), {name: {"Description": text} for name, text in columns.items()})


def _cell(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _row(out: Path, visit: Path) -> dict[str, Any] | None:
    """The row of a visit; None, with a line, where no status can be read."""
    runs = dict(_runs(visit))
    if not (runs or (visit / "log" / "lock").exists()):
        return None
    subject, *sessions = visit.relative_to(out).parts
    session = sessions[0] if sessions else None
    labels = subject.removeprefix("sub-"), session and session.removeprefix("ses-")
    status = _telling(runs, completing_run(out, *labels)) if runs else INTERRUPTED | {"missing": ""}
    synthetic = {p.name.split("_")[-1].removesuffix(".nii.gz") for p in visit.glob("*/*_desc-synth_*.nii.gz")}
    made = {modality.value for modality in Modality if modality.mean_suffix in synthetic}
    row = {
        "participant_id": subject,
        "session_id": session or MISSING,
        "status": status["status"],
        "synthetic": ",".join(sorted(synthetic)) or MISSING,
        "missing": ",".join(sorted(set(status["missing"].split()) - made)) or MISSING,
        "message": status["message"] or MISSING,
        "seconds": status["seconds"],
    }
    crashes = sorted((visit / "log" / status.get("run", "")).glob("crash-*.txt"))
    return row | ({"crash": crashes[0].relative_to(out).as_posix()} if crashes else {})


def _runs(visit: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and status of each run that ended, latest name last; one that cannot be read gets a line."""
    for path in sorted((visit / "log").glob("*/status.json")):
        try:
            status = json.loads(path.read_text(encoding="utf-8"))
            told = {name: " ".join(str(status[name]).split()) for name in INTERRUPTED}
            more = {
                "finished": str(status.get("finished", "")),
                "missing": " ".join(status.get("missing", ())),
                "run": path.parent.name,
            }
            yield path.parent.name, told | more
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{path}: cannot be read ({error}); run this participant again", file=sys.stderr)


def _telling(runs: Mapping[str, dict[str, str]], completing: str | None) -> dict[str, str]:
    """The status that tells what the folder holds: later runs that found nothing to do change nothing in it.

    Runs may overlap, so that the latest is the one that ended last. Where outputs are not complete although
    that one says so, a later run discarded them and was killed.
    """
    if completing is not None and completing in runs:
        return runs[completing]
    _, latest = max(runs.items(), key=lambda run: (run[1]["finished"], run[0]))  # once, none was recorded
    if completing is None and latest["status"] in ("complete", "already-complete"):
        return latest | INTERRUPTED
    return latest
