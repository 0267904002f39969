"""The BIDS filter file: which images may serve, in the words of PyBIDS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pds_bids.core.config import Filters
from pds_bids.core.errors import UsageError

Kind = Literal["bold", "dwi", "t1w"]
Query = Mapping[str, tuple[str, ...]]

SUFFIXES: Mapping[str, str] = {"bold": "bold", "dwi": "dwi", "t1w": "T1w"}
"""Kinds of image that are looked for; those that other programs look for are passed over."""

ENTITIES: Mapping[str, str] = {
    "session": "ses",
    "task": "task",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "echo": "echo",
    "part": "part",
}
"""PyBIDS's name of an entity to its key in a file name."""

_ABSENT, _PRESENT, _EITHER = "Query.NONE", frozenset({"Query.ANY", "Query.REQUIRED", "*"}), "Query.OPTIONAL"


def require_known(filters: Filters) -> None:
    """Refuse a filter file that asks for what would not be heeded.

    Raises
    ------
    UsageError
        Naming the entity, or the suffix.
    """
    for kind, suffix in SUFFIXES.items():
        for entity, labels in filters.get(kind, {}).items():
            if entity == "suffix" and suffix not in labels:
                raise UsageError(f"--bids-filter-file: {kind} has the suffix {suffix}; leave its suffix out")
            if entity not in (*ENTITIES, "suffix", "datatype", "extension"):
                raise UsageError(
                    f"--bids-filter-file: {kind} is filtered by {entity}; use {', '.join(ENTITIES)}"
                )


def sessions(filters: Filters) -> tuple[str, ...]:
    """The sessions that bold and dwi are limited to; empty where at least one of them is not.

    >>> sessions({"bold": {"session": ("ses-a",)}, "dwi": {"session": ("a", "b")}, "t1w": {}})
    ('a', 'b')
    """
    named = [filters.get(kind, {}).get("session", ()) for kind in ("bold", "dwi")]
    special = {_ABSENT, _EITHER, *_PRESENT}
    if not all(named) or any(special & set(labels) for labels in named):
        return ()
    return tuple(dict.fromkeys(_label("session", text) for labels in named for text in labels))


def accepts(filters: Filters, kind: Kind, entities: Mapping[str, str]) -> bool:
    """Whether an image passes the filters of its kind.

    Examples
    --------
    >>> filters = {"bold": {"run": ("1",), "direction": ("AP", "Query.NONE")}}
    >>> accepts(filters, "bold", {"sub": "x", "run": "01"}), accepts(filters, "dwi", {"sub": "x"})
    (True, True)
    >>> accepts(filters, "bold", {"run": "2"}), accepts(filters, "bold", {"run": "1", "dir": "PA"})
    (False, False)
    """
    query = {name: labels for name, labels in filters.get(kind, {}).items() if name in ENTITIES}
    return all(_allowed(name, entities.get(ENTITIES[name]), labels) for name, labels in query.items())


def _allowed(name: str, label: str | None, labels: tuple[str, ...]) -> bool:
    if _EITHER in labels:
        return True
    if label is None:
        return _ABSENT in labels
    return bool(_PRESENT & set(labels)) or _label(name, label) in {_label(name, text) for text in labels}


def _label(name: str, text: str) -> str:
    """The label without its entity, and a number without leading zeros, as PyBIDS compares runs."""
    label = text.removeprefix(f"{ENTITIES[name]}-")
    return str(int(label)) if name in ("run", "echo") and label.isdigit() else label
