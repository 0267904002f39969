"""The folder that a visit works in, and what killed runs left of theirs."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "visit-"
IN_USE = ".in-use"
"""Locked as long as its folder is worked in; the operating system lets go when a process is killed."""


@contextmanager
def scratch_of_visit(work_dir: Path) -> Iterator[Path]:
    """A folder below the work folder, gone when the visit ends."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=work_dir) as name:
        folder = Path(name)
        with (folder / IN_USE).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield folder


def remove_leftovers(work_dir: Path) -> None:
    """Delete the folders of visits whose run was killed; other runs' and other people's files stay."""
    for mark in work_dir.glob(f"{PREFIX}*/{IN_USE}"):
        with suppress(FileNotFoundError), mark.open("r+") as stream:  # another run may end meanwhile
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(mark.parent, ignore_errors=True)
