"""The page of the group level, from the rows of its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.app import groupscores, quality
from pds_bids.app.groupscores import Mean
from pds_bids.app.quality import MEASURES
from pds_bids.bids.tables import MISSING
from pds_bids.core.modality import Modality
from pds_bids.report.overview import Entry, OverviewPage, Spread, render_overview
from pds_bids.report.tables import Cell, Table

DONE = frozenset({"complete", "already-complete", "nothing-missing"})
"""Statuses that leave nothing to be done."""

LEAST_SHOWN = 5
"""Fewer visits are told by the table alone, without distributions."""

PLAIN = {"status": "Status", "synthetic": "Made", "missing": "Still missing"}

Rows = Sequence[Mapping[str, Any]]
"""Of the group table."""


def group_page(out: Path, rows: Rows, means: Sequence[Mean], findings: Sequence[str]) -> str:
    """Who is where, how good it is, and every visit with its report one click away."""
    states = Counter(row["status"] for row in rows)
    missing = Counter(name for row in rows if row["missing"] != MISSING for name in row["missing"].split(","))
    counts = {"Visits": len(rows), **{f"Visits {state}": n for state, n in sorted(states.items())}}
    counts |= {f"Visits without {Modality(name).full_name}": n for name, n in sorted(missing.items())}
    counts["Visits with unusual values"] = sum(row["flags"] != MISSING for row in rows)
    columns = _columns(rows)
    page = OverviewPage(
        states=counts,
        findings=findings,
        tables=[*_troubles(out, rows), *_scores(means)],
        spreads=list(_spreads(rows)),
        columns=columns | {"message": "Message"},
        entries=[_entry(out, row) for row in rows],
        synthetic=any(row["synthetic"] != MISSING for row in rows),
    )
    return render_overview(page)


def _columns(rows: Rows) -> dict[str, str]:
    """Columns of the visits' table that any visit fills, and their headings."""
    headings = PLAIN | {
        quality.column(source, name): f"{measure.heading}, {source.value}"
        for source in Modality
        for name, measure in MEASURES.items()
        if name != "outlier_limit"
    }
    headings |= {
        groupscores.column(target, name): f"{groupscores.TOLD[name].heading}, {target.value}"
        for target in Modality
        for name in ("psnr_db", "gain_psnr_db")
    }
    return {name: text for name, text in headings.items() if any(row.get(name) is not None for row in rows)}


def _entry(out: Path, row: Mapping[str, Any]) -> Entry:
    visit = "/".join(name for name in (row["participant_id"], row["session_id"]) if name != MISSING)
    name = visit.replace("/", "_")
    report = f"{name}.html" if (out / f"{name}.html").exists() else ""
    pictures = sorted((out / visit / "figures").glob("*_desc-thumbnail_*.png"))
    picture = pictures[0].relative_to(out).as_posix() if pictures else ""
    return Entry(name, report, picture, row, row["flags"].split(","))


def _troubles(out: Path, rows: Rows) -> Iterator[Table]:
    """Everybody who is not done, and why."""
    entries = [(_entry(out, row), row) for row in rows if row["status"] not in DONE]
    told: list[Mapping[str, Cell]] = [
        {
            "Visit": entry.name,
            **{heading: row[name] for name, heading in PLAIN.items()},
            "Cause": row["message"],
            **({"Crash": row["crash"]} if "crash" in row else {}),
        }
        for entry, row in entries
    ]
    links = {entry.name: entry.report for entry, _ in entries if entry.report}
    links |= {row["crash"]: row["crash"] for _, row in entries if "crash" in row}
    if told:
        yield Table("Not done", told, links=links)


def _scores(means: Sequence[Mean]) -> Iterator[Table]:
    """Means over subjects."""
    rows: list[Mapping[str, Cell]] = [
        {
            "Target": mean.target.full_name,
            "Metric": groupscores.TOLD[mean.metric].heading,
            "Subjects": mean.n_subjects,
            "Mean [95 % interval]": mean.text,
        }
        for mean in means
    ]
    if rows:
        yield Table("Scores", rows)


def _spreads(rows: Rows) -> Iterator[Spread]:
    """How the measures spread, where there are enough visits for a shape to be seen."""
    if len(rows) < LEAST_SHOWN:
        return
    for name, heading in _columns(rows).items():
        values = np.array([row[name] for row in rows if isinstance(row.get(name), float)])
        if len(np.unique(values)) > 1:
            yield Spread(heading, values)
