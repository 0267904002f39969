"""What lies in a dataset's folders, by directory listing alone: no file is opened, no index is built."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from pds_bids.bids.naming import BidsName, is_label, natural_key

IMAGE_EXTENSIONS = (".nii", ".nii.gz")

_NOT_MAGNITUDE = frozenset({"phase", "real", "imag"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Image:
    """An image file of a dataset.

    Attributes
    ----------
    path
        Where it is.
    entities
        What its name says, e.g. `{"sub": "01", "task": "rest", "run": "2"}`.
    present
        False for a link that points nowhere, as DataLad leaves it before `datalad get`.
    """

    path: Path
    entities: dict[str, str]
    present: bool


def labelled_folders(folder: Path, entity: str) -> dict[str, Path]:
    """The `sub-*` or `ses-*` folders of a folder.

    Parameters
    ----------
    folder
        A dataset, or a subject in it.
    entity
        `sub` or `ses`.

    Returns
    -------
    dict
        Label to path in natural order; folders with a malformed label are logged and left out.
    """
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            prefix, dash, label = entry.name.partition("-")
            if prefix != entity or not dash or not entry.is_dir():
                continue
            if is_label(label):
                found[label] = Path(entry.path)
            else:
                _log.warning("%s: ignored, its label is not letters and digits", entry.path)
    return {label: found[label] for label in sorted(found, key=natural_key)}


def images(folder: Path, suffix: str) -> list[Image]:
    """Magnitude images of one suffix in one folder, in natural order.

    Parameters
    ----------
    folder
        A data type's folder, e.g. `sub-01/func`; it need not exist.
    suffix
        Exactly this BIDS suffix, so that `bold` never yields an `sbref`.
    """
    try:
        with os.scandir(folder) as entries:
            named = [(entry, BidsName.parse(entry.name)) for entry in entries if ".nii" in entry.name]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [
        Image(Path(entry.path), name.entities, not entry.is_symlink() or os.path.exists(entry.path))
        for entry, name in named
        if name and name.suffix == suffix and name.extension in IMAGE_EXTENSIONS
        if name.entities.get("part") not in _NOT_MAGNITUDE
    ]
    return sorted(found, key=lambda image: natural_key(image.path.name))


def visit_folder(root: Path, subject: str, session: str | None) -> Path:
    """Folder of one subject's session (or of the subject, without sessions) in a raw or derived dataset."""
    folder = root / f"sub-{subject}"
    return folder if session is None else folder / f"ses-{session}"


def find_t1w(bids_dir: Path, subject: str, session: str | None) -> Path | None:
    """The first T1w image of the session or, failing that, of any session of the subject."""
    subject_folder = visit_folder(bids_dir, subject, None)
    own = visit_folder(bids_dir, subject, session)
    for folder in dict.fromkeys((own, subject_folder, *labelled_folders(subject_folder, "ses").values())):
        for image in images(folder / "anat", "T1w"):
            if image.present:
                return image.path
    return None
