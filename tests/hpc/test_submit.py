"""`hpc/submit.sh` and what it submits, with stand-ins for Slurm and for pds-bids."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HPC = Path(__file__).resolve().parents[2] / "hpc"

PDS_BIDS = """\
case "$*" in
  *--dry-run*) cat "$TO_DO" ;;
  *) echo "$*"; exit "${CODE:-0}" ;;
esac
"""
SBATCH = 'echo "$*" >>"$SUBMITTED"; wc -l <"$SUBMITTED"'
SCONTROL = 'echo "MaxArraySize            = $MAX_ARRAY_SIZE"'
APPTAINER = 'echo "$*"'


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Path:
    """A folder with dataset and output, and a PATH where the stand-ins come first."""
    stand_ins = {"pds-bids": PDS_BIDS, "sbatch": SBATCH, "scontrol": SCONTROL, "apptainer": APPTAINER}
    (tmp_path / "bin").mkdir()
    for name, script in stand_ins.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "submitted"))
    monkeypatch.setenv("TO_DO", str(tmp_path / "to_do"))
    monkeypatch.setenv("MAX_ARRAY_SIZE", "1001")
    for name in ("PDS_BIDS_IMAGE", "PDS_BIDS_AT_ONCE", "PDS_BIDS_BIND", "PDS_BIDS_GPU"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.fixture
def submit(cluster) -> Callable[..., list[str]]:
    """Participants to do, options -> the arguments of every sbatch."""

    def run(to_do: list[str], *options: str) -> list[str]:
        (cluster / "to_do").write_text("".join(f"{label}\n" for label in to_do))
        (cluster / "submitted").write_text("")
        command = [HPC / "submit.sh", cluster / "in", cluster / "out", *options]
        ended = subprocess.run(command, cwd=cluster, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return (cluster / "submitted").read_text().splitlines()

    return run


def lists(cluster: Path) -> list[list[str]]:
    return [path.read_text().split() for path in sorted(cluster.glob("out/logs/slurm-*/participants-*.txt"))]


def test_an_array_has_a_task_for_each_participant_still_to_do(submit, cluster):
    array, group = submit(["01", "07", "12"], "--sloppy")

    assert "--array=1-3 " in array
    assert array.endswith(f"{cluster / 'in'} {cluster / 'out'} --sloppy")
    assert lists(cluster) == [["01", "07", "12"]]
    assert "--dependency=afterany:1 " in group
    assert group.endswith(f"{cluster / 'in'} {cluster / 'out'} group")


def test_a_cohort_larger_than_the_largest_array_takes_several(submit, cluster, monkeypatch):
    monkeypatch.setenv("MAX_ARRAY_SIZE", "4")
    monkeypatch.setenv("PDS_BIDS_AT_ONCE", "2")
    participants = [f"{number:03}" for number in range(8)]

    *arrays, group = submit(participants)

    assert [line.split("--array=")[1].split()[0] for line in arrays] == ["1-3%2", "1-3%2", "1-2%2"]
    assert lists(cluster) == [participants[:3], participants[3:6], participants[6:]]
    assert "--dependency=afterany:1:2:3 " in group


def test_nothing_to_do_submits_nothing(submit, cluster):
    assert submit([]) == []
    assert not (cluster / "out").exists()


def test_what_pds_bids_refuses_is_not_submitted(cluster, monkeypatch):
    (cluster / "bin" / "pds-bids").write_text("#!/bin/sh\nexit 16\n")

    ended = subprocess.run([HPC / "submit.sh", cluster / "in", cluster / "out"], check=False)

    assert ended.returncode == 16
    assert not (cluster / "submitted").exists()


@pytest.mark.parametrize("code", [0, 1, 75])
def test_a_task_does_the_participant_of_its_line_and_keeps_the_exit_code(cluster, monkeypatch, code):
    (cluster / "list").write_text("01\n07\n12\n")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    monkeypatch.setenv("CODE", str(code))

    ended = subprocess.run(
        [HPC / "participant.sbatch", "pds-bids", cluster / "list", "IN", "OUT", "--sloppy"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == "IN OUT participant --sloppy --participant-label 07 --omp-nthreads 1\n"
    assert ended.returncode == code


def test_an_image_sees_the_dataset_read_only_and_nothing_of_the_home(cluster, monkeypatch):
    monkeypatch.setenv("PDS_BIDS_IMAGE", "pds-bids.sif")
    monkeypatch.setenv("TMPDIR", "/scratch")
    bids, out = cluster / "in", cluster / "out"

    ended = subprocess.run(
        [HPC / "pds-bids.sh", bids, out, "group"], capture_output=True, text=True, check=True
    )

    binds = f"--bind {bids}:{bids}:ro --bind {out}:{out} --bind /scratch:/tmp"
    assert ended.stdout == f"run --containall --cleanenv {binds} pds-bids.sif {bids} {out} group\n"


@pytest.mark.parametrize("script", sorted(HPC.glob("*.s*")), ids=lambda path: path.name)
def test_scripts_are_sound(script):
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck, absent here")
    subprocess.run(["shellcheck", script], check=True)
