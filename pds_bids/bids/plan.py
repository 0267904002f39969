"""The answer to `--dry-run`: who has what, and what would be synthesised."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pds_bids.bids.inventory import IDLE_REASONS, Visit
from pds_bids.core.config import Selection
from pds_bids.core.modality import Modality

PlanFormat = Literal["table", "list", "json"]


@dataclass(frozen=True)
class _Row:
    """One visit, what is still to be synthesised for it, and whether it is complete already."""

    visit: Visit
    to_do: tuple[Modality, ...]
    complete: bool


def render_plan(
    visits: Sequence[Visit],
    selection: Selection,
    form: PlanFormat = "table",
    *,
    done: Collection[Visit] = (),
) -> str:
    """Describe what a run would do.

    Parameters
    ----------
    visits
        As `inventory` returns them.
    selection
        Its `targets` and `evaluate` decide what is to be synthesised.
    form
        `table` for people; `list` for shells: the labels of the participants with something to do, one a
        line, fit for `--participant-label`; `json` for programs.
    done
        Those of the visits that are complete, so that a run would leave them alone.
    """
    rows = [_row(visit, selection, visit in done) for visit in visits]
    renderers: dict[PlanFormat, Callable[[Sequence[_Row]], str]] = {
        "table": _table,
        "list": _list,
        "json": _json,
    }
    return renderers[form](rows)


def _row(visit: Visit, selection: Selection, complete: bool) -> _Row:
    targets = () if complete else visit.targets(selection.targets, selection.evaluate)
    return _Row(visit, targets, complete)


def _remark(row: _Row) -> str:
    visit = row.visit
    remarks = ["complete"] if row.complete else []
    if not (row.to_do or row.complete or visit.unreadable):
        remarks.append(
            f"nothing to do: {IDLE_REASONS[visit.idle]}" if visit.acquired else "nothing to start from"
        )
    if visit.unreadable:
        remarks.append(f"cannot be read (run `datalad get`, or restore it): {_names(visit.unreadable)}")
    if visit.odd:
        remarks.append(f"not used, the name does not fit (rename it): {_names(visit.odd)}")
    return "; ".join(remarks)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _presence(visit: Visit, modality: Modality) -> str:
    if modality in visit.acquired:
        return "yes"
    return "unfetched" if modality in visit.unfetched else "missing"


def _table(rows: Sequence[_Row]) -> str:
    heads = ["subject", "session", *(modality.value for modality in Modality), "T1w", "synthesise", "remark"]
    cells = [
        [
            f"sub-{row.visit.subject}",
            f"ses-{row.visit.session}" if row.visit.session is not None else "-",
            *(_presence(row.visit, modality) for modality in Modality),
            "yes" if row.visit.has_t1w else "no",
            ", ".join(row.to_do) or "-",
            _remark(row),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (heads, ["-" * width for width in widths], *cells)
    ]
    return "\n".join([*lines, "", f"{sum(bool(row.to_do) for row in rows)} of {len(rows)} to synthesise"])


def _list(rows: Sequence[_Row]) -> str:
    return "\n".join(dict.fromkeys(row.visit.subject for row in rows if row.to_do))


def _json(rows: Sequence[_Row]) -> str:
    records = [
        {
            "subject": row.visit.subject,
            "session": row.visit.session,
            "acquired": sorted(row.visit.acquired),
            "missing": sorted(row.visit.missing),
            "unfetched": sorted(row.visit.unfetched),
            "t1w": row.visit.has_t1w,
            "tasks": list(row.visit.tasks),
            "synthesise": list(row.to_do),
            "complete": row.complete,
            "unreadable": [str(path) for path in row.visit.unreadable],
            "odd": [str(path) for path in row.visit.odd],
        }
        for row in rows
    ]
    return json.dumps(records, indent=2)
