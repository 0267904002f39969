"""The folder that a visit works in, what killed runs left of theirs, and what a run leaves: nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pds_bids.bids.writing import require_writable
from pds_bids.core.errors import CannotWriteError

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
    require_writable(work_dir, REMEDY)
    with tempfile.TemporaryDirectory("", PREFIX, work_dir, ignore_cleanup_errors=True) as name:
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
        with suppress(OSError), mark.open("r+") as stream:  # in use, no locks here, or another run ends
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)


@contextmanager
def own_work_dir(work_dir: Path) -> Iterator[None]:
    """A work folder that nobody chose: it goes with the last run in it, and with what killed ones left there.

    Raises
    ------
    TemporaryError, CannotWriteError
        If nothing can be written there, or it is somebody else's.
    """
    folder = _entered(work_dir)
    try:
        yield
    finally:
        remove_leftovers(work_dir)
        with suppress(OSError):  # another run is at work in it, or there is more in it than is ours
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for fonts in (work_dir / CACHE).glob("fontlist-*"):
                fonts.unlink()
            for emptied in (work_dir / CACHE, work_dir):
                if emptied.is_dir():
                    emptied.rmdir()
        os.close(folder)


def _entered(work_dir: Path) -> int:
    """A descriptor of the folder, whose lock tells that somebody is at work in it."""
    while True:
        with suppress(OSError):
            work_dir.mkdir(mode=0o700)
        require_writable(work_dir, REMEDY)
        with suppress(FileNotFoundError):  # the last run in it has just removed it
            state = work_dir.lstat()
            if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
                raise CannotWriteError(f"{work_dir} is not a folder of your own; {REMEDY}")
            folder = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(OSError):  # no locks here
                fcntl.flock(folder, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(folder), work_dir.stat()):
                return folder
            os.close(folder)
