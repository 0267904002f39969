"""A file appears whole or not at all, and is the same each time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pds_bids.bids.writing import (
    PARTIAL_MARK,
    atomic_write,
    remove_partial,
    require_writable,
    write_json,
    write_text,
    write_volume,
)
from pds_bids.core.errors import CannotWriteError, PdsError, TemporaryError
from pds_bids.core.volume import ATLAS_SPACE, MODEL_GRID, Volume, load_volume


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sub-01_desc-synth_trace.nii.gz"
    with atomic_write(path) as partial:
        assert partial.parent == path.parent
        assert partial.name.startswith(".")
        assert partial.name.endswith("sub-01_desc-synth_trace.nii.gz")
        partial.write_text("content")
        assert not path.exists()
    assert names(path.parent) == [path.name]
    assert path.read_text() == "content"


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch) -> None:
    path, seen = tmp_path / "x.json", []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append((path.exists(), os.fstat(file).st_ino)))
    write_text(path, "content")
    assert seen == [(False, path.stat().st_ino), (True, tmp_path.stat().st_ino)]


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(UnicodeError), atomic_write(path) as partial:
        partial.write_bytes(b"half" + "\ud800".encode())
    assert names(tmp_path) == ["x.json"]
    assert path.read_text() == "old"


def test_a_killed_writer_leaves_only_what_the_next_run_removes(tmp_path: Path) -> None:
    path = tmp_path / "sub-01" / "x.nii"
    code = (
        "import os, sys; from pathlib import Path; from pds_bids.bids.writing import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert not path.exists()
    assert len(names(path.parent)) == 1
    remove_partial(path.parent)
    assert names(path.parent) == []


def test_remove_partial_spares_complete_files(tmp_path: Path) -> None:
    write_text(tmp_path / "sub-01" / "func" / "partial-x.txt", "whole")
    remove_partial(tmp_path / "sub-01")
    assert names(tmp_path / "sub-01" / "func") == ["partial-x.txt"]


def test_remove_partial_spares_the_sessions_beside_a_sessionless_visit(tmp_path: Path) -> None:
    mark = f"{PARTIAL_MARK}1-2-x.nii"
    own = [tmp_path / folder / mark for folder in ("", "func", "dwi", "figures", "log", "log/20260101_0")]
    busy = tmp_path / "ses-1" / "func" / mark
    for path in (*own, busy):
        write_text(path, "half")
    remove_partial(tmp_path)
    assert [path for path in (*own, busy) if path.exists()] == [busy]


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    texts = [letter * 100_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(path, text), texts))
    assert path.read_text() in texts
    assert names(path.parent) == ["x.txt"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, TemporaryError),
        (errno.EDQUOT, TemporaryError),
        (errno.EROFS, CannotWriteError),
        (errno.EACCES, CannotWriteError),
    ],
)
def test_disk_trouble_has_its_exit_code(tmp_path: Path, code: int, kind: type[PdsError]) -> None:
    with pytest.raises(kind, match=r"x\.txt"), atomic_write(tmp_path / "x.txt"):
        raise OSError(code, os.strerror(code))


def test_an_unrelated_error_is_not_explained_away(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), atomic_write(tmp_path / "x.txt"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_in_the_place_of_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for path in (tmp_path / "out" / "x.txt", tmp_path / "out" / "sub-01" / "x.txt"):
        with pytest.raises(CannotWriteError, match="choose another output folder"):
            write_text(path, "text")


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "out", "")
    assert names(tmp_path / "new" / "out") == []


@pytest.mark.parametrize("place", ["", "out"])
def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    folder = tmp_path / "file" / place
    with pytest.raises(CannotWriteError) as caught:
        require_writable(folder, "give --work-dir another folder")
    assert str(caught.value).startswith(f"{folder}: cannot be written (")
    assert str(caught.value).endswith("; give --work-dir another folder")


def test_a_full_disk_is_temporary(tmp_path: Path, monkeypatch) -> None:
    def full(**where):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    with pytest.raises(TemporaryError, match="the disk is full"):
        require_writable(tmp_path, "")


def test_the_same_text_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"é": 1})
    before = path.stat()
    write_json(path, {"é": 1})
    after = path.stat()
    for fact in ("st_ino", "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns"):  # it may be read
        assert getattr(after, fact) == getattr(before, fact)
    write_json(path, {"é": 2})
    assert path.stat().st_ino != before.st_ino
    assert path.read_text() == '{\n  "é": 2\n}\n'


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    write_text(tmp_path / "atomic.txt", "x")
    (tmp_path / "plain.txt").write_text("x")
    assert (tmp_path / "atomic.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_a_volume_is_byte_identical_whenever_written(tmp_path: Path, extension: str, monkeypatch) -> None:
    volume = Volume(np.linspace(0, 2, 60, dtype=np.float32).reshape(3, 4, 5), MODEL_GRID.affine)
    write_volume(tmp_path / f"a{extension}", volume, description="SYNTHETIC")
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    write_volume(tmp_path / f"b{extension}", volume, description="SYNTHETIC")
    assert (tmp_path / f"a{extension}").read_bytes() == (tmp_path / f"b{extension}").read_bytes()


@pytest.mark.parametrize(("space", "code"), [("native", 1), ("model", 2), (ATLAS_SPACE, 4)])
def test_the_header_says_what_the_volume_is(tmp_path: Path, space: str, code: int) -> None:
    path = tmp_path / "x.nii.gz"
    volume = Volume(np.zeros((2, 3, 4), np.float32), MODEL_GRID.affine, space)
    write_volume(path, volume, description="SYNTHETIC " + "é" * 100)
    header = nb.load(path).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (code, code)
    assert header.get_xyzt_units()[0] == "mm"
    assert bytes(header["descrip"]).startswith(b"SYNTHETIC ?")
    assert len(bytes(header["descrip"]).rstrip(b"\0")) == 79
    assert header.get_data_dtype() == np.float32


@pytest.mark.parametrize("shear", [0.7, 0.01])
def test_sheared_axes_keep_their_sform_and_have_no_qform(tmp_path: Path, shear: float) -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[0, 1] = shear
    write_volume(tmp_path / "x.nii", Volume(np.zeros((80, 96, 88), np.float32), affine), description="")
    image = nb.load(tmp_path / "x.nii")
    assert int(image.header["qform_code"]) == 0
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(angles=(0.0, 0.001, 0.0), voxel_mm=(1.0, 1.0, 2.0), flip=-1, origin=(0.0, 0.0, 0.0))  # half a turn
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    voxel_mm=st.tuples(*[st.floats(0.5, 5)] * 3),
    flip=st.sampled_from([1, -1]),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
)
def test_what_is_written_is_read_back(tmp_path: Path, angles, voxel_mm, flip, origin) -> None:
    rotation = nb.eulerangles.euler2mat(*angles)
    affine = nb.affines.from_matvec(rotation @ np.diag(voxel_mm) @ np.diag([flip, 1, 1]), origin)
    data = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    write_volume(tmp_path / "x.nii.gz", Volume(data, affine), description="x")
    volume = load_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)
    image = nb.load(tmp_path / "x.nii.gz")
    assert int(image.header["qform_code"]) == 1
    np.testing.assert_allclose((image.get_qform() - affine) @ (3, 4, 2, 1), 0, atol=0.1)


def test_a_mask_is_rounded_not_cut_off(tmp_path: Path) -> None:
    data = np.array([0.0, 0.4, 0.9999999, 1.0], np.float32).reshape(4, 1, 1)
    write_volume(tmp_path / "x.nii.gz", Volume(data, np.eye(4)), description="mask", dtype=np.uint8)
    image = nb.load(tmp_path / "x.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert np.asarray(image.dataobj).ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("value", [-1, 256, np.nan])
def test_values_that_do_not_fit_are_refused(tmp_path: Path, value: float) -> None:
    volume = Volume(np.full((2, 2, 2), value, np.float32), np.eye(4))
    with pytest.raises(ValueError, match="do not fit uint8"):
        write_volume(tmp_path / "x.nii", volume, description="mask", dtype=np.uint8)
    assert names(tmp_path) == []


def test_a_name_without_utf8_can_be_written_down(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xff.nii.gz")
    write_json(tmp_path / "x.json", {"name": name})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"name": name}
