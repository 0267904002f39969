"""A rerun repeats nothing complete and trusts nothing changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds_bids.bids.completion import (
    completing_run,
    discard,
    fingerprint,
    is_complete,
    mark_complete,
    marker_path,
)
from pds_bids.bids.discovery import visit_folder

FACTS = {"model": "abc", "steps": 8, "targets": ["bold"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "raw" / "sub-01_dwi.nii.gz"
    path.parent.mkdir()
    path.write_text("voxels")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    for name in ("sub-01/ses-1/func/a.nii.gz", "sub-01.html"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("result")
    return folder


def outputs(out: Path) -> list[Path]:
    return [out / "sub-01/ses-1/func/a.nii.gz", out / "sub-01.html"]


def test_a_marked_visit_is_complete_and_no_other(out: Path, source: Path) -> None:
    mark = fingerprint(FACTS, [source])
    assert not is_complete(out, "01", "1", mark)
    mark_complete(out, "01", "1", mark, "run", outputs(out))
    assert is_complete(out, "01", "1", mark)
    assert not is_complete(out, "01", "2", mark)
    assert not is_complete(out, "01", None, mark)
    assert "log" in marker_path(out, "01", "1").parts  # which .bidsignore covers


def test_the_marker_names_the_run_until_its_outputs_are_discarded(out: Path) -> None:
    assert completing_run(out, "01", "1") is None
    mark_complete(out, "01", "1", "0", "20260101-120000_0123abcd", outputs(out))
    assert completing_run(out, "01", "1") == "20260101-120000_0123abcd"
    assert completing_run(out, "01", None) is None
    discard(out, "01", "1")
    assert completing_run(out, "01", "1") is None


def test_the_order_of_facts_and_inputs_does_not_matter(source: Path) -> None:
    other = source.with_name("sub-01_dwi.bval")
    other.write_text("0")
    assert fingerprint(FACTS, [source, other]) == fingerprint(dict(reversed(FACTS.items())), [other, source])


@pytest.mark.parametrize("change", [{"model": "abd"}, {"steps": 9}, {"targets": []}, {"new": None}])
def test_other_settings_are_other_work(source: Path, change: dict[str, object]) -> None:
    assert fingerprint({**FACTS, **change}, [source]) != fingerprint(FACTS, [source])


def test_a_changed_input_is_other_work(source: Path) -> None:
    before = fingerprint(FACTS, [source])
    os.utime(source, ns=(1, source.stat().st_mtime_ns + 1))
    touched = fingerprint(FACTS, [source])
    source.write_text("more voxels")
    os.utime(source, ns=(1, 1))
    longer = fingerprint(FACTS, [source])
    renamed = fingerprint(FACTS, [source.rename(source.with_name("sub-01_run-1_dwi.nii.gz"))])
    assert len({before, touched, longer, renamed, fingerprint(FACTS, [])}) == 5


def test_a_moved_dataset_is_the_same_work(source: Path) -> None:
    before = fingerprint(FACTS, [source])
    moved = source.parent.rename(source.parent.with_name("moved")) / source.name
    assert fingerprint(FACTS, [moved]) == before


def test_facts_that_cannot_be_written_down_are_refused(source: Path) -> None:
    with pytest.raises(TypeError):
        fingerprint({"targets": {"bold", "dwi"}}, [source])


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("cut")])
def test_a_lost_or_changed_output_is_done_again(out: Path, source: Path, damage) -> None:
    mark = fingerprint(FACTS, [source])
    mark_complete(out, "01", "1", mark, "run", outputs(out))
    damage(outputs(out)[0])
    assert not is_complete(out, "01", "1", mark)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"fingerprint": 1}', '{"outputs": 3}', '{"outputs": {"x": 1}}', "\0"]
)
def test_a_marker_that_cannot_be_trusted_is_done_again(out: Path, source: Path, content: str) -> None:
    mark = fingerprint(FACTS, [source])
    mark_complete(out, "01", "1", mark, "run", outputs(out))
    marker_path(out, "01", "1").write_text(content)
    assert not is_complete(out, "01", "1", mark)


def test_a_touched_text_is_the_same_work_and_a_changed_one_is_not(source: Path) -> None:
    for extension in (".json", ".bval", ".bvec"):
        text = source.with_name(f"sub-01_dwi{extension}")
        text.write_text("0 1000")
        before = fingerprint(FACTS, [source, text])
        os.utime(text, ns=(1, 1))
        assert fingerprint(FACTS, [source, text]) == before
        status = text.stat()
        text.write_text("0 2000")
        os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert fingerprint(FACTS, [source, text]) != before


@pytest.mark.parametrize("session", [None, "1"])
@pytest.mark.parametrize("finished", [True, False])
def test_discarding_deletes_all_a_visit_made_finished_or_not(
    tmp_path: Path, session: str | None, finished: bool
) -> None:
    folder = visit_folder(tmp_path, "01", session)
    made = [folder / name for name in ("func/a.nii.gz", "dwi/b.json", "figures/c.svg", "log/scores.json")]
    made.append(tmp_path / ("sub-01.html" if session is None else "sub-01_ses-1.html"))
    kept = [
        folder / "log/20260101_0/status.json",
        folder / "log/lock",
        tmp_path / "sub-01/ses-2/func/a.nii.gz",
        tmp_path / "sub-01_ses-2.html",
        tmp_path / "sub-02/dwi/b.json",
    ]
    for path in (*made, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("result")
    if finished:
        mark_complete(tmp_path, "01", session, "0", "run", made[:1])
    discard(tmp_path, "01", session)
    discard(tmp_path, "01", session)
    assert not any(path.exists() for path in (*made, marker_path(tmp_path, "01", session)))
    assert all(path.exists() for path in kept)


def test_the_marker_is_discarded_last(out: Path, source: Path, monkeypatch) -> None:
    mark = fingerprint(FACTS, [source])
    mark_complete(out, "01", "1", mark, "run", outputs(out))
    deleted: list[Path] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: deleted.append(path))
    discard(out, "01", "1")
    assert outputs(out)[0] in deleted
    assert deleted[-1] == marker_path(out, "01", "1")
    assert deleted.count(deleted[-1]) == 1


def test_discarding_touches_no_other_visit(out: Path, source: Path) -> None:
    foreign = out / "sub-02" / "dwi" / "sub-02_desc-synth_trace.nii.gz"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("stays")
    mark_complete(out, "01", "1", fingerprint(FACTS, [source]), "run", [foreign])
    discard(out, "01", "1")
    assert foreign.exists()


def test_a_marker_of_an_earlier_release_counts(out: Path, source: Path) -> None:
    mark = fingerprint(FACTS, [source])
    marker_path(out, "01", "1").parent.mkdir(parents=True, exist_ok=True)
    marker_path(out, "01", "1").write_text(f'{{"fingerprint": "{mark}", "outputs": {{}}}}')
    assert is_complete(out, "01", "1", mark)
    assert completing_run(out, "01", "1") == ""
