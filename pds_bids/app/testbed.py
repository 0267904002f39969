"""What every experiment on a checkpoint needs: subjects that it has not seen, and a record of how."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.app.anatomies import aligned_structures, label_maps
from pds_bids.app.bank import simulate_bank
from pds_bids.app.provenance import now, software_versions
from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.training.data import PairBank


def maps_of(checkpoint: Checkpoint, part: str, folder: Path) -> dict[str, Path]:
    """Label maps that the checkpoint's card lists as `part` of its split.

    Raises
    ------
    UsageError
        If the card names no split, or the folder lacks its maps.
    """
    paths = {path.name: path for path in label_maps(folder)}
    listed = checkpoint.card.get("split", {}).get(part, [])
    chosen = {name: paths[name] for name in listed if name in paths}
    if not chosen:
        known = ", ".join(listed) or "its card names none"
        raise UsageError(f"--label-maps {folder}: holds none of the model's {part} maps ({known})")
    return chosen


def seen_by(checkpoint: Checkpoint) -> set[str]:
    """Label maps or subjects that a model was trained or calibrated on, by the names in its card."""
    parts = checkpoint.card.get("split", {})
    return {*parts.get("train", []), *parts.get("calibration", [])}


def refuse_leaks(checkpoints: Mapping[str, Checkpoint], test: set[str]) -> None:
    """No model may be scored on what it was trained or calibrated on.

    Parameters
    ----------
    test
        Names of what is scored: of label maps, or of subjects.

    Raises
    ------
    UsageError
        If the card of one lists any of it among those.
    """
    for name, checkpoint in checkpoints.items():
        if seen := test & seen_by(checkpoint):
            raise UsageError(
                f"{name}: was trained or calibrated on what tests it ({', '.join(sorted(seen))})"
            )


def simulated_people(maps: Mapping[str, Path], n: int, folder: Path, seed: int) -> PairBank:
    """A bank of at least `n` pairs of people of all ages and diagnoses, equally many of each anatomy."""
    processes = len(os.sched_getaffinity(0))
    anatomies = {k: aligned_structures(path, processes) for k, path in enumerate(maps.values())}
    return simulate_bank(anatomies, -(-n // len(anatomies)), folder, seed, processes, people=True)


def provenance(settings: Mapping[str, Any], checkpoints: Mapping[str, Checkpoint]) -> dict[str, Any]:
    """How the numbers of an experiment came about, for its JSON.

    Parameters
    ----------
    settings
        What was asked for.
    checkpoints
        By the names they were asked for by.
    """
    return {
        "created": now().isoformat(timespec="seconds"),
        "command": shlex.join(["pds-model", *sys.argv[1:]]),
        **settings,
        "weights_sha256": {name: checkpoint.sha256 for name, checkpoint in checkpoints.items()},
        "machine": platform.machine(),
        "threads": len(os.sched_getaffinity(0)),
        "software": software_versions(),
    }
