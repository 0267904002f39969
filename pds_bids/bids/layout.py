"""PyBIDS, one subject at a time: inherited metadata and gradient tables."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.bids.discovery import Image, visit_folder
from pds_bids.bids.naming import BidsName
from pds_bids.bids.writing import PARTIAL_MARK, require_writable
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality

if TYPE_CHECKING:
    from bids.layout import BIDSLayout


@contextmanager
def subject_layout(
    bids_dir: Path, subject: str, modality: Modality, database_dir: Path | None = None
) -> Iterator[BIDSLayout]:
    """Index one subject of a dataset.

    Only the subject's own folders of this modality and the side files above them are looked at, so the
    other thousand subjects cost one directory listing, and a broken file elsewhere does no harm.

    Parameters
    ----------
    database_dir
        Keeps the index of each subject and modality in a PyBIDS database below this folder, to be read by
        later runs as long as no file has changed. None indexes in memory.

    Raises
    ------
    ParticipantError
        If a sidecar is unreadable or contradicts the file it describes.
    """
    if database_dir is None:
        layout = _index(bids_dir, subject, modality)
    else:
        layout = _stored(bids_dir, subject, modality, database_dir)
    try:
        yield layout
    finally:
        _close(layout)


def points_nowhere(path: Path) -> ParticipantError:
    """The error for a link without its file, as DataLad leaves it before the content is fetched."""
    return ParticipantError(path, "the link points nowhere", f"run `datalad get {path}`")


def inherited(layout: BIDSLayout, image: Image, suffix: str, extension: str) -> Path | None:
    """The nearest file of another extension that applies to an image, by the inheritance principle.

    Parameters
    ----------
    layout
        From `subject_layout`.
    image
        A file in it.
    suffix
        Its BIDS suffix.
    extension
        E.g. `.bval`.
    """
    candidates: list[str] = layout.get_nearest(
        image.path.absolute(), suffix=suffix, extension=extension, all_=True
    )
    for path in map(Path, candidates):
        name = BidsName.parse(path.name)
        # PyBIDS also offers files with entities that the image lacks: a dir-PA table for an image without dir
        if name and name.entities.items() <= image.entities.items():
            return path
    return None


def metadata(layout: BIDSLayout, image: Image) -> dict[str, Any]:
    """The image's sidecar with everything it inherits."""
    return dict(layout.get_metadata(str(image.path.absolute())))


def _stored(bids_dir: Path, subject: str, modality: Modality, database_dir: Path) -> BIDSLayout:
    """The index from its database, which is made first where there is none of these files as they are."""
    from bids.layout import BIDSLayout

    state = hashlib.sha256(repr(_files(bids_dir, subject, modality)).encode()).hexdigest()[:16]
    database = database_dir / f"sub-{subject}_{modality.value}_{state}"
    if not database.is_dir():
        require_writable(database_dir, "give --bids-database-dir another folder")
        with tempfile.TemporaryDirectory(prefix=PARTIAL_MARK, dir=database_dir) as partial:
            layout = _index(bids_dir, subject, modality)
            layout.save(Path(partial) / "database", replace_connection=False)
            _close(layout)
            with suppress(OSError):  # another process has been faster
                os.rename(Path(partial) / "database", database)
    return BIDSLayout(bids_dir.absolute(), validate=False, database_path=database)


def _files(bids_dir: Path, subject: str, modality: Modality) -> list[tuple[str, int, int]]:
    """Path, size and time of change of everything that an index is made of."""
    own = visit_folder(bids_dir, subject, None)
    below = (bids_dir, own, *own.glob("ses-*"), *own.glob(f"**/{modality.datatype}"))
    files = sorted(path for folder in below for path in folder.glob("*") if path.is_file())
    return [(str(path), status.st_size, status.st_mtime_ns) for path in files for status in [path.stat()]]


def _close(layout: BIDSLayout) -> None:
    """Let go of the database: PyBIDS caches by layout, so that its last 128 would stay in memory."""
    manager = layout.connection_manager
    manager.session.close()
    manager.engine.dispose()
    for kept in (layout, manager):
        vars(kept).clear()


def _index(bids_dir: Path, subject: str, modality: Modality) -> BIDSLayout:
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    side_file = r"[^/]+\.(json|bval|bvec)"
    inside = rf"({side_file}|ses-[^/]+(/{side_file})?|(ses-[^/]+/)?{modality.datatype}(/[^/]+)?)"
    foreign = re.compile(rf"^/(?!{side_file}$|sub-{re.escape(subject)}(/{inside})?$)|/\.")
    indexer = BIDSLayoutIndexer(validate=False, ignore=[foreign], suffix=modality.value)
    try:
        return BIDSLayout(bids_dir.absolute(), validate=False, indexer=indexer)
    except FileNotFoundError as error:
        raise points_nowhere(Path(error.filename)) from error
    except (OSError, ValueError, TypeError) as error:
        raise _unusable_sidecar(bids_dir, subject, modality) or ParticipantError(
            bids_dir / f"sub-{subject}", f"a JSON sidecar cannot be used ({error})", "repair the file"
        ) from error


def _unusable_sidecar(bids_dir: Path, subject: str, modality: Modality) -> ParticipantError | None:
    """The first sidecar that could apply and holds no JSON object; PyBIDS does not always name it."""
    own = visit_folder(bids_dir, subject, None)
    folders = (bids_dir, own, *own.glob("ses-*"), *own.glob(f"**/{modality.datatype}"))
    for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
        try:
            if isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                continue
            fault = "no object in braces"
        except (OSError, ValueError) as error:
            fault = str(error)
        return ParticipantError(path, f"cannot be used as a JSON sidecar ({fault})", "repair the file")
    return None
