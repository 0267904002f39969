"""The folder ANTs works in: it reads commas, brackets and blanks in a name as its own syntax."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pds_bids.core.errors import CannotWriteError

SAFE = re.compile(r"[\w./~+-]+", re.ASCII)
FALLBACKS = (os.environ.get("TMPDIR", "/tmp"), "/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder with a name that ANTs reads as one name; gone afterwards.

    Raises
    ------
    CannotWriteError
        If there is no place for it.
    """
    # What a network's file system keeps of a deleted file that is still open goes with the visit's folder.
    with tempfile.TemporaryDirectory("", "pds-bids-", scratch_parent(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def scratch_parent() -> Path:
    """The temporary folder, that of the visit if there is one, or a common one where its name is not safe."""
    for candidate in (tempfile.gettempdir(), *FALLBACKS):
        if SAFE.fullmatch(candidate) and Path(candidate).is_dir() and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise CannotWriteError(
        "no temporary folder has a name that ANTs can read, and can be written; set TMPDIR to a plain one"
    )


def linked(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Files under plain names: links to them inside a scratch folder, in the same order."""
    links = [folder / f"{i}_{path.name}" for i, path in enumerate(paths)]
    for link, path in zip(links, paths, strict=True):
        link.symlink_to(path.resolve())
    return links
