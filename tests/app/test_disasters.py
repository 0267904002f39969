"""What nobody can help: a full disk, a disk that may not be written, a killed process."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nb
import pytest

from pds_bids.core.modality import Modality

from .faults.battery import call
from .faults.people import add_description, add_participant

pytestmark = pytest.mark.slow

CALL = "BIDS OUT participant --sloppy --omp-nthreads 1 --output-spaces native -w WORK"
N_KILLS = 20


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Two small participants, one of each modality."""
    folder = tmp_path / "bids"
    add_description(folder)
    for label, modality in zip(("sub-01", "sub-02"), Modality, strict=True):
        add_participant(folder, label, modality)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("NO SMALL DISK: it takes the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def made(out: Path) -> dict[str, str]:
    """SHA-256 of images, sidecars and figures, by name."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("sub-*/*/*"))
        if path.is_file() and path.parent.name != "log"
    }


def test_a_full_disk_is_told_and_the_same_command_resumes(bids: Path, disk: Path, tmp_path: Path) -> None:
    places = {"BIDS": bids, "OUT": disk / "out", "WORK": tmp_path / "work"}
    ended = call(CALL, **places)
    assert ended.code == 75
    (line,) = ended.err.splitlines()
    assert "the disk is full; free some and run again" in line
    assert not [path for path in disk.rglob("*") if ".partial" in path.name]
    remount(disk, "size=100m")
    assert call(CALL, **places).code == 0


def test_a_disk_that_may_not_be_written_is_told(bids: Path, disk: Path, tmp_path: Path) -> None:
    remount(disk, "ro")
    for places in (
        {"OUT": disk / "out", "WORK": tmp_path / "w"},
        {"OUT": tmp_path / "o", "WORK": disk / "w"},
    ):
        ended = call(CALL, BIDS=bids, **places)
        assert ended.code == 73
        (line,) = ended.err.splitlines()
        assert "cannot be written (Read-only file system)" in line


def test_killed_twenty_times_it_ends_as_if_nothing_had_been(bids: Path, tmp_path: Path) -> None:
    def command(out: str) -> list[str]:
        words = {"BIDS": bids, "OUT": tmp_path / out, "WORK": tmp_path / f"work-{out}"}
        return [sys.executable, "-m", "pds_bids", *(str(words.get(word, word)) for word in CALL.split())]

    home = tmp_path / "home"
    home.mkdir()
    environment = {name: text for name, text in os.environ.items() if name != "MPLCONFIGDIR"}
    environment["HOME"] = str(home)
    start = time.monotonic()
    subprocess.run(command("undisturbed"), env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds, out = time.monotonic() - start, tmp_path / "killed"
    chance = random.Random(0)
    for _ in range(N_KILLS):
        run = subprocess.Popen(
            command("killed"), env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )
        try:
            run.wait(chance.uniform(0.1, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        for path in out.rglob("sub-*.nii.gz"):  # whole or not at all; unfinished names are hidden
            assert nb.load(path).get_fdata().size
        for path in out.rglob("*.json"):
            assert path.name.startswith(".") or json.loads(path.read_text())
    assert subprocess.run(command("killed"), env=environment, check=False).returncode == 0
    assert made(out) == made(tmp_path / "undisturbed")
    assert not [path for path in out.rglob("*") if ".partial" in path.name]
    assert not list(home.iterdir())  # caches belong to the work folder
