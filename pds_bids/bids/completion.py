"""Which visits are complete, so that a rerun repeats nothing and finishes what is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pds_bids.bids.discovery import visit_folder
from pds_bids.bids.writing import write_json


def fingerprint(facts: Mapping[str, Any], inputs: Iterable[Path]) -> str:
    """Hash of everything a visit's outputs depend on.

    Parameters
    ----------
    facts
        JSON-like settings, e.g. of the configuration and the model's SHA-256.
    inputs
        Files read; name, size and time of change count, so that a dataset may move as a whole.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    files = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in sorted(inputs)]
    content = json.dumps({"facts": facts, "files": files}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def marker_path(out: Path, subject: str, session: str | None) -> Path:
    """The file that says a visit is complete."""
    return visit_folder(out, subject, session) / "log" / "complete.json"


def is_complete(out: Path, subject: str, session: str | None, fingerprint: str) -> bool:
    """Whether the visit was finished from the same inputs and its outputs still are as they were left."""
    marker = _read_marker(out, subject, session)
    try:
        return marker["fingerprint"] == fingerprint and all(
            (out / name).stat().st_size == size for name, size in marker["outputs"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def _read_marker(out: Path, subject: str, session: str | None) -> dict[str, Any]:
    """The marker; empty where it is absent, cut off or foreign, so that the work is done again."""
    try:
        marker = json.loads(marker_path(out, subject, session).read_text(encoding="utf-8"))
        return {"fingerprint": marker["fingerprint"], "outputs": dict(marker["outputs"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def mark_complete(
    out: Path, subject: str, session: str | None, fingerprint: str, outputs: Iterable[Path]
) -> None:
    """Record, as the last write of a visit, that these outputs are complete.

    Parameters
    ----------
    out
        The derivative dataset.
    subject, session
        Labels without prefix.
    fingerprint
        From `fingerprint`.
    outputs
        Files below `out`; each must exist.
    """
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(outputs)}
    write_json(marker_path(out, subject, session), {"fingerprint": fingerprint, "outputs": sizes})


def discard(out: Path, subject: str, session: str | None) -> None:
    """Delete what a finished run of the visit left: outputs of other settings never stand beside new ones.

    The marker goes last: killed in between, the next run starts here again.
    """
    folder = visit_folder(out, subject, session)
    for name in _read_marker(out, subject, session).get("outputs", {}):
        path = out / name
        if path.parent == out or path.parent.parent == folder:  # never more than this visit's own files
            path.unlink(missing_ok=True)
    marker_path(out, subject, session).unlink(missing_ok=True)
