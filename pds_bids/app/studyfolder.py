"""The folder of a simulated study: whose it is, and what describes all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids import __version__
from pds_bids.bids.description import BIDS_VERSION
from pds_bids.bids.tables import table
from pds_bids.bids.writing import PARTIAL_MARK, write_json, write_text
from pds_bids.core.errors import CannotWriteError

if TYPE_CHECKING:
    from pds_bids.simulation.cohort import Visit

PARTICIPANT_COLUMNS = {
    "age": {"Description": "Age at the first visit", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "site": {"Description": "Simulated site, whose protocols are like those of the study it is named after"},
    "group": {
        "Description": "Diagnosis on record",
        "Levels": {
            "nc": "normal cognition",
            "mci": "mild cognitive impairment",
            "ad": "Alzheimer's disease",
        },
    },
}

SESSION_AGE = {"Description": "Age at this session", "Units": "year"}

README = """\
# Simulated study

No person was scanned: every image was computed by `pds-model simulate` {version} from an anatomy, tissue
properties and signal equations. Use it to try software, never to learn about people.

`sourcedata/truth` holds what no study has: the scans withheld from incomplete subjects, the structures and
regions of every head (`*_dseg.nii.gz`, 1 mm, in the space of the ICBM template), and `*_condition.json` with
the person's state and the way from scanner to template. Programs under test must not read it.
"""


def claim_folder(out: Path, visits: Sequence[Visit], label_maps: Sequence[str], *, t1w: bool) -> None:
    """Describe the dataset, unless the folder holds something else.

    Raises
    ------
    CannotWriteError
        If it does, or lies inside another dataset.
    """
    for parent in out.parents:
        if (parent / "dataset_description.json").is_file():
            raise CannotWriteError(f"{out}: lies inside the dataset {parent}; choose a folder elsewhere")
    path = out / "dataset_description.json"
    plan = json.dumps([asdict(visit) for visit in visits])
    description = {
        "Name": "Simulated study (pds-bids)",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": "as the label maps" if label_maps else "CC0",
        "Authors": ["pds-model simulate", "No person was scanned"],
        "GeneratedBy": [{"Name": "pds-model simulate", "Version": __version__}],
        "SimulatedFrom": {
            "Anatomies": list(label_maps) or ["ICBM152 2009a symmetric"],
            "T1w": t1w,
            "PlanSHA256": hashlib.sha256(plan.encode()).hexdigest(),
        },
    }
    held = out.is_dir() and any(not path.name.startswith(PARTIAL_MARK) for path in out.iterdir())
    if held and _read_object(path) != description:
        raise CannotWriteError(f"{out}: holds something else than this study; choose a new folder")
    write_json(path, description)


def remove_unfinished(out: Path) -> None:
    """Delete what a killed run left half-written; no other run may be at work in the folder."""
    for partial in out.rglob(f"{PARTIAL_MARK}*"):
        partial.unlink(missing_ok=True)


def _read_object(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_study_files(out: Path, visits: Sequence[Visit]) -> None:
    """Write the README and the tables of participants and sessions."""
    first = {visit.subject: visit for visit in reversed(visits)}
    rows = [
        (f"sub-{s}", f"{v.person.age:.1f}", v.person.sex, v.site, v.diagnosis)
        for s, v in sorted(first.items())
    ]
    write_text(out / "README.md", README.format(version=__version__))
    write_text(out / "participants.tsv", table(("participant_id", *PARTICIPANT_COLUMNS), rows))
    write_json(out / "participants.json", PARTICIPANT_COLUMNS)
    ages: dict[str, list[tuple[str, str]]] = {}
    for v in visits:
        if v.session is not None:
            ages.setdefault(f"sub-{v.subject}", []).append(
                (f"ses-{v.session}", f"{v.person.age + v.years:.1f}")
            )
    for subject, sessions in ages.items():
        write_text(out / subject / f"{subject}_sessions.tsv", table(("session_id", "age"), sessions))
    if ages:
        write_json(out / "sessions.json", {"age": SESSION_AGE})
