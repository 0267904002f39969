"""Which visits are complete, so that a rerun repeats nothing and finishes what is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pds_bids.bids.discovery import visit_folder
from pds_bids.bids.writing import OUTPUT_FOLDERS, write_json

_SMALL_TEXTS = frozenset({".json", ".bval", ".bvec"})


def fingerprint(facts: Mapping[str, Any], inputs: Iterable[Path]) -> str:
    """Hash of everything a visit's outputs depend on.

    Parameters
    ----------
    facts
        JSON-like settings, e.g. of the configuration, the model's SHA-256 and the inherited metadata.
    inputs
        Files read. Of small texts (JSON, gradient tables) name and content count, of images name, size and
        time of change; never the folder, so that a dataset may move as a whole.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    files = [(path.name, *_state(path)) for path in sorted(inputs)]
    content = json.dumps({"facts": facts, "files": files}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _state(path: Path) -> tuple[str | int, ...]:
    """What tells one state of a file from another: reading a series of gigabytes would take too long."""
    if path.suffix in _SMALL_TEXTS:
        return (hashlib.sha256(path.read_bytes()).hexdigest(),)
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def marker_path(out: Path, subject: str, session: str | None) -> Path:
    """The file that says a visit is complete."""
    return visit_folder(out, subject, session) / "log" / "complete.json"


def page_path(out: Path, subject: str, session: str | None) -> Path:
    """The report of a visit, at the top of the dataset.

    >>> page_path(Path("out"), "01", "02").as_posix()
    'out/sub-01_ses-02.html'
    """
    label = visit_folder(Path(), subject, session).as_posix()
    return out / f"{label.replace('/', '_')}.html"


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
        return {
            "fingerprint": marker["fingerprint"],
            "run": str(marker.get("run", "")),
            "outputs": dict(marker["outputs"]),
        }
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def completing_run(out: Path, subject: str, session: str | None) -> str | None:
    """The run that made a visit's outputs, empty if none was recorded; None where they are not complete."""
    return _read_marker(out, subject, session).get("run")


def mark_complete(
    out: Path, subject: str, session: str | None, fingerprint: str, run: str, outputs: Iterable[Path]
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
    run
        Name of the run that made them.
    outputs
        Files below `out`; each must exist.
    """
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(outputs)}
    write_json(marker_path(out, subject, session), {"fingerprint": fingerprint, "run": run, "outputs": sizes})


def record_size(out: Path, subject: str, session: str | None, path: Path) -> None:
    """Record that an output was written anew, so that the visit stays complete; nothing where it is not."""
    marker, name = _read_marker(out, subject, session), path.relative_to(out).as_posix()
    if name in marker.get("outputs", {}):
        marker["outputs"][name] = path.stat().st_size
        write_json(marker_path(out, subject, session), marker)


def discard(out: Path, subject: str, session: str | None) -> None:
    """Delete all outputs of a visit, finished or not: those of other settings never stand beside new ones.

    What earlier runs logged stays, and so do other visits, sessions below the subject's folder included.
    Everything else in a visit's folders is ours, as `write_dataset_files` makes sure. The marker goes last:
    killed in between, the next run starts here again.
    """
    marker = marker_path(out, subject, session)
    made = [path for name in OUTPUT_FOLDERS for path in (marker.parents[1] / name).glob("*")]
    records = marker.parent.glob("*.json")  # and not the lock, which this very run may hold
    for path in (*made, *records):
        if path != marker and not path.is_dir():
            path.unlink(missing_ok=True)
    page_path(out, subject, session).unlink(missing_ok=True)
    marker.unlink(missing_ok=True)
