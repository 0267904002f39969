"""The folder that a visit works in, what killed runs left of theirs, and what a run leaves: nothing."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pds_bids.bids.writing import require_writable

PREFIX = "visit-"
IN_USE = ".in-use"
"""Locked as long as its folder is worked in; the operating system lets go when a process is killed."""

REMEDY = "give --work-dir another folder"

CACHE = "matplotlib"
"""Folder of the font cache; the home belongs to the user, and in a container may not be there."""


@contextmanager
def scratch_of_visit(work_dir: Path) -> Iterator[Path]:
    """A folder below the work folder, gone when the visit ends; meanwhile all temporary files lie in it.

    Raises
    ------
    TemporaryError, CannotWriteError
        If nothing can be written there.
    """
    require_writable(work_dir, REMEDY)  # another run that ended may have removed it
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=work_dir) as name:
        folder = Path(name)
        mark = folder / "mark"
        with mark.open("w") as stream, _temporary_files_in(folder):
            with suppress(OSError):  # no locks here: nobody will take it for what a killed run left
                fcntl.flock(stream, fcntl.LOCK_EX)
                mark.rename(folder / IN_USE)  # so that nobody finds it who could lock it
            yield folder


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """For the whole process, which does one visit at a time."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def remove_leftovers(work_dir: Path) -> None:
    """Delete the folders of visits whose run was killed; other runs' and other people's files stay."""
    for mark in work_dir.glob(f"{PREFIX}*/{IN_USE}"):
        with suppress(FileNotFoundError), mark.open("r+") as stream:  # another run may end meanwhile
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # in use, or no locks here
                continue
            shutil.rmtree(mark.parent, ignore_errors=True)


def remove_work_dir(work_dir: Path) -> None:
    """Remove a work folder that nobody chose, unless another run is at work in it."""
    remove_leftovers(work_dir)
    shutil.rmtree(work_dir / CACHE, ignore_errors=True)
    with suppress(OSError):  # not empty
        work_dir.rmdir()
