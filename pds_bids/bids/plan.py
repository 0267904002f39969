"""The answer to `--dry-run`: who has what, and what would be synthesised."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from pds_bids.bids.inventory import Visit
from pds_bids.core.config import Selection
from pds_bids.core.modality import Modality

PlanFormat = Literal["table", "list", "json"]


def render_plan(visits: Sequence[Visit], selection: Selection, form: PlanFormat = "table") -> str:
    """Describe what a run would do.

    Parameters
    ----------
    visits
        As `inventory` returns them, without those already complete if they should not be listed.
    selection
        Its `targets` and `evaluate` decide what is to be synthesised.
    form
        `table` for people; `list` for shells: the labels of the participants with something to do, one a
        line, fit for `--participant-label`; `json` for programs.
    """
    renderers: dict[PlanFormat, Callable[[Sequence[Visit], Selection], str]] = {
        "table": _table,
        "list": _list,
        "json": _json,
    }
    return renderers[form](visits, selection)


def _targets(visit: Visit, selection: Selection) -> tuple[Modality, ...]:
    return visit.targets(selection.targets, selection.evaluate)


def _remark(visit: Visit, selection: Selection) -> str:
    if visit.unreadable:
        return f"cannot be read: {', '.join(path.name for path in visit.unreadable)}"
    if _targets(visit, selection):
        return ""
    return "nothing to start from" if not visit.acquired else "nothing to do"


def _table(visits: Sequence[Visit], selection: Selection) -> str:
    heads = ["subject", "session", *(modality.value for modality in Modality), "T1w", "synthesise", "remark"]
    rows = [
        [
            f"sub-{visit.subject}",
            f"ses-{visit.session}" if visit.session is not None else "-",
            *("yes" if modality in visit.acquired else "missing" for modality in Modality),
            "yes" if visit.has_t1w else "no",
            ", ".join(_targets(visit, selection)) or "-",
            _remark(visit, selection),
        ]
        for visit in visits
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, ["-" * width for width in widths], *rows)
    ]
    to_do = sum(bool(_targets(visit, selection)) for visit in visits)
    return "\n".join([*lines, "", f"{to_do} of {len(visits)} to synthesise"])


def _list(visits: Sequence[Visit], selection: Selection) -> str:
    return "\n".join(dict.fromkeys(visit.subject for visit in visits if _targets(visit, selection)))


def _json(visits: Sequence[Visit], selection: Selection) -> str:
    records = [
        {
            "subject": visit.subject,
            "session": visit.session,
            "acquired": sorted(visit.acquired),
            "missing": sorted(visit.missing),
            "t1w": visit.has_t1w,
            "tasks": list(visit.tasks),
            "synthesise": list(_targets(visit, selection)),
            "unreadable": [str(path) for path in visit.unreadable],
        }
        for visit in visits
    ]
    return json.dumps(records, indent=2)
