"""Work folders: gone after the visit, and cleared only where nobody works in them."""

from __future__ import annotations

from pathlib import Path

from pds_bids.app.scratch import IN_USE, remove_leftovers, scratch_of_visit


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
