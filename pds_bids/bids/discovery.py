"""What lies in a dataset's folders, by directory listing alone: no file is opened, no index is built."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
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


@dataclass(frozen=True)
class Listing:
    """What a data type's folder holds.

    Attributes
    ----------
    images
        Magnitude images of the suffix asked for, in natural order.
    odd
        Image files that cannot be used, whatever their suffix: the name is not one of BIDS, or names another
        subject or session than the folder does.
    """

    images: tuple[Image, ...] = ()
    odd: tuple[Path, ...] = ()


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


def list_images(folder: Path, suffix: str) -> Listing:
    """The images of one suffix in one folder, and the files that are none although they look like one.

    Parameters
    ----------
    folder
        A data type's folder, e.g. `sub-01/func`; it need not exist.
    suffix
        Exactly this BIDS suffix, so that `bold` never yields an `sbref`.
    """
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return Listing()
    owner = _owner(folder)
    found: list[Image] = []
    odd: list[Path] = []
    for entry in sorted(visible, key=lambda entry: natural_key(entry.name)):
        if not entry.name.endswith(IMAGE_EXTENSIONS):
            continue
        name = BidsName.parse(entry.name)
        if name is None or name.extension not in IMAGE_EXTENSIONS or _contradicts(name, owner):
            odd.append(Path(entry.path))
        elif name.suffix == suffix and name.entities.get("part") not in _NOT_MAGNITUDE:
            present = not entry.is_symlink() or os.path.exists(entry.path)
            found.append(Image(Path(entry.path), name.entities, present))
    return Listing(tuple(found), tuple(odd))


def _owner(folder: Path) -> dict[str, str | None]:
    """Whose a data type's folder is: `sub-01/ses-02/func` gives `{"sub": "01", "ses": "02"}`."""
    above = folder.parent
    if not above.name.startswith("ses-"):
        return {"sub": above.name.removeprefix("sub-"), "ses": None}
    return {"sub": above.parent.name.removeprefix("sub-"), "ses": above.name.removeprefix("ses-")}


def _contradicts(name: BidsName, owner: dict[str, str | None]) -> bool:
    """Whether the name says something else than the folder; to say less is no contradiction."""
    return any(name.entities.get(key, label) != label for key, label in owner.items())


def visit_folder(root: Path, subject: str, session: str | None) -> Path:
    """Folder of one subject's session (or of the subject, without sessions) in a raw or derived dataset."""
    folder = root / f"sub-{subject}"
    return folder if session is None else folder / f"ses-{session}"


def find_t1w(
    bids_dir: Path,
    subject: str,
    session: str | None,
    *,
    usable: Callable[[Image], bool] = lambda image: True,
) -> Path | None:
    """The first usable T1w image of the session or, failing that, of any session of the subject."""
    subject_folder = visit_folder(bids_dir, subject, None)
    own = visit_folder(bids_dir, subject, session)
    for folder in dict.fromkeys((own, subject_folder, *labelled_folders(subject_folder, "ses").values())):
        for image in list_images(folder / "anat", "T1w").images:
            if image.present and usable(image):
                return image.path
    return None
