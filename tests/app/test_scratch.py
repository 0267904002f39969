"""Work folders: gone after the visit, and cleared only where nobody works in them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from pds_bids.app.scratch import CACHE, IN_USE, remove_leftovers, remove_work_dir, scratch_of_visit
from pds_bids.prep.scratch import scratch_folder


def test_only_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "visit-killed"
    (left / "deep").mkdir(parents=True)
    (left / IN_USE).touch()
    (left / "deep" / "warp.nii.gz").touch()
    foreign = tmp_path / "visit-of-mine"
    foreign.mkdir()
    (foreign / "notes.txt").touch()
    with scratch_of_visit(tmp_path) as mine:
        remove_leftovers(tmp_path)
        assert mine.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, foreign.name}
    assert list(tmp_path.iterdir()) == [foreign]


def test_whatever_is_temporary_lies_in_the_folder_of_the_visit(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with scratch_of_visit(tmp_path / "work") as mine:
        left = Path(tempfile.mkstemp()[1])  # as libraries leave theirs
        with scratch_folder() as of_ants:
            assert left.parent == of_ants.parent == mine
    assert not list((tmp_path / "work").iterdir())
    assert tempfile.gettempdir() == before


def test_a_work_folder_goes_with_the_last_run_that_is_at_work_in_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / CACHE).mkdir(parents=True)
    with scratch_of_visit(work) as other:
        remove_work_dir(work)
        assert other.is_dir()
    remove_work_dir(work)
    assert not work.exists()
    with scratch_of_visit(work):  # of a run that had not begun its next visit
        pass


def test_a_work_folder_needs_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)

    with scratch_of_visit(tmp_path) as mine:
        remove_leftovers(tmp_path)
        assert mine.is_dir()
    assert not list(tmp_path.iterdir())
