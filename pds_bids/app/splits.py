"""Train, calibration and test by subject, so that no visit of a person trains what another one tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pds_bids.app.anatomies import SHARES
from pds_bids.bids.tables import read_table, table
from pds_bids.bids.writing import write_text
from pds_bids.core.errors import UsageError
from pds_bids.core.seeds import derived_seed

LEAST = {"train": 2, "calibration": 1}
"""Subjects in a part: what is usual among training scans cannot be told from one."""


def drawn_split(strata: Mapping[str, tuple[float, ...]], seed: int) -> dict[str, list[str]]:
    """A random split in which every stratum is shared out as evenly as it can be.

    Parameters
    ----------
    strata
        Subject to what it has in common with others, such as site and group.

    Raises
    ------
    UsageError
        If there are too few subjects to calibrate on one.
    """
    parts: dict[str, list[str]] = {part: [] for part in SHARES}
    order = sorted(strata, key=lambda subject: (strata[subject], derived_seed(seed, "split", subject)))
    for n, subject in enumerate(order, start=1):
        most_wanting = max(SHARES, key=lambda part: SHARES[part] * n - len(parts[part]))
        parts[most_wanting].append(subject)
    _require_parts(parts, "--from-derivatives", "add subjects, or say with --split who is where")
    return parts


def read_split(path: Path, subjects: Collection[str]) -> dict[str, list[str]]:
    """The split that a table says; it may name more subjects than there are.

    Raises
    ------
    UsageError
        If a column or a subject is missing, a subject stands there twice, or a word is none of `SHARES`.
    """
    words = ", ".join(SHARES)
    part_of: dict[str, str] = {}
    for row in read_table(path):
        if not {"participant_id", "split"} <= row.keys():
            raise UsageError(f"--split {path}: needs the columns participant_id and split, separated by tabs")
        subject, part = row["participant_id"].removeprefix("sub-"), row["split"].lower()
        if part not in SHARES:
            raise UsageError(f"--split {path}: sub-{subject} is in {part!r}; choose from {words}")
        if subject in part_of:
            raise UsageError(
                f"--split {path}: sub-{subject} has two rows; keep one, for sessions stay together"
            )
        part_of[subject] = part
    missing = [f"sub-{subject}" for subject in sorted(subjects) if subject not in part_of]
    if missing:
        raise UsageError(
            f"--split {path}: has no row for {', '.join(missing[:5])}; choose from {words} for each"
        )
    parts = {part: [s for s in sorted(subjects) if part_of[s] == part] for part in SHARES}
    _require_parts(parts, f"--split {path}", "move some")
    return parts


def _require_parts(parts: Mapping[str, list[str]], where: str, remedy: str) -> None:
    for part, least in LEAST.items():
        if len(parts[part]) < least:
            there = f"{len(parts[part])} of the subjects with both modalities in the part {part}"
            raise UsageError(f"{where}: {there}, at least {least} needed; {remedy}")


def write_split(path: Path, parts: Mapping[str, list[str]]) -> None:
    """Write a split as `read_split` reads it."""
    rows = sorted((f"sub-{subject}", part) for part, members in parts.items() for subject in members)
    write_text(path, table(("participant_id", "split"), rows))
