"""Two processes on the CPU, started by torchrun, against one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pds_bids.training.distributed import Team

SCRIPT = Path(__file__).with_name("small_training.py")
WHEN = "18"
"""Rows that the second process reads before its accident: statistics, and five steps of two."""


def test_alone_everything_is_ones_own():
    team = Team()

    assert team.leads
    assert team.told(1.5, 2) == (1.5, 2)
    assert team.mean(torch.tensor(3.0)) == 3
    assert list(team.rows(4)) == [0, 1, 2, 3]


def test_rows_are_dealt_in_blocks():
    assert [list(Team(rank=r, size=3).rows(6)) for r in range(3)] == [[0, 1], [2, 3], [4, 5]]


def two_processes(folder: Path, *accident: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(SCRIPT), str(folder), *accident]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def two_nodes(folder: Path, endpoint: str) -> list[int]:
    """Exit codes of two launchers, as `hpc/train.sbatch` starts one on each node, with one process each."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meeting = [
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        endpoint,
        "--rdzv-id",
        "test",
        "--local-addr",
        "localhost",
    ]
    nodes = [subprocess.Popen([*launcher, *meeting, str(SCRIPT), str(folder)]) for _ in range(2)]
    return [node.wait(timeout=300) for node in nodes]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / "small.state.safetensors")
    return {name: t for name, t in tensors.items() if name.startswith(("model.denoiser", "ema."))}


@pytest.fixture(scope="module")
def alone(small, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("alone")
    small.main(folder)
    return folder


@pytest.fixture
def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return f"localhost:{probe.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_two_processes_learn_what_one_does(alone, tmp_path, nodes, free_endpoint):
    if nodes == 1:
        assert two_processes(tmp_path).returncode == 0
    else:
        assert two_nodes(tmp_path, free_endpoint) == [0, 0]

    ours, theirs = (json.loads((folder / "losses.json").read_text()) for folder in (alone, tmp_path))
    assert theirs == pytest.approx(ours, rel=1e-4)
    for name, expected in weights(alone).items():
        torch.testing.assert_close(weights(tmp_path)[name], expected, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_a_killed_process_fails_the_run_and_a_rerun_resumes(alone, tmp_path):
    killed = two_processes(tmp_path, "die_at", WHEN)
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr
    assert not (tmp_path / "losses.json").exists()

    assert two_processes(tmp_path).returncode == 0

    ours, theirs = (json.loads((folder / "losses.json").read_text()) for folder in (alone, tmp_path))
    assert 0 < len(theirs) < len(ours)
    assert theirs == pytest.approx(ours[-len(theirs) :], rel=1e-4)
    for name, expected in weights(alone).items():
        torch.testing.assert_close(weights(tmp_path)[name], expected, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_numbers_that_are_none_in_one_process_stop_both(tmp_path):
    ended = two_processes(tmp_path, "spoil_at", WHEN)

    assert ended.returncode != 0
    assert ended.stderr.count("PdsError: training: the loss is nan") == 2
