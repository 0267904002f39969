"""Work folders: gone after the visit, and cleared only where nobody works in them."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from pds_bids.app.scratch import CACHE, IN_USE, own_work_dir, remove_leftovers, scratch_of_visit
from pds_bids.core.errors import CannotWriteError
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


def test_a_work_folder_goes_with_the_last_run_in_it_and_what_killed_ones_left(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with own_work_dir(work):
        assert work.stat().st_mode & 0o077 == 0
        with own_work_dir(work), scratch_of_visit(work):
            pass
        assert work.is_dir()
        (work / CACHE).mkdir()
        (work / CACHE / "fontlist-v390.json").touch()
        (work / "visit-killed").mkdir()
        (work / "visit-killed" / IN_USE).touch()
    assert not work.exists()


def test_what_is_not_ours_stays_in_a_work_folder(tmp_path: Path) -> None:
    mine = tmp_path / "work" / CACHE / "my_figure.py"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with own_work_dir(tmp_path / "work"):
        pass
    assert mine.exists()


def test_a_work_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(CannotWriteError, match="not a folder of your own"), own_work_dir(tmp_path / "link"):
        pass
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(CannotWriteError, match="not a folder of your own"), own_work_dir(tmp_path):
        pass


def test_a_work_folder_needs_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)

    with scratch_of_visit(tmp_path) as mine:
        remove_leftovers(tmp_path)
        assert mine.is_dir()
    assert not list(tmp_path.iterdir())
