"""How many CPUs a job may use, from made-up control groups."""

from __future__ import annotations

import math

import pytest

from pds_bids.cli import resources


@pytest.fixture
def cgroups(tmp_path):
    """A control group `job` inside `slice`, with nothing limited."""
    root, process = tmp_path / "cgroup", tmp_path / "self"
    (root / "slice" / "job").mkdir(parents=True)
    process.write_text("1:name=systemd:/elsewhere\n0::/slice/job\n")
    return root, process


def test_the_groups_of_a_job_are_its_own_and_those_around_it(cgroups):
    root, process = cgroups

    assert resources.own_cgroups(root, process) == [root / "slice" / "job", root / "slice", root]


def test_without_proc_there_is_only_the_root(tmp_path):
    assert resources.own_cgroups(tmp_path, tmp_path / "absent") == [tmp_path]


@pytest.mark.parametrize(
    ("content", "cpus"),
    [("150000 100000\n", 1.5), ("max 100000\n", math.inf), ("", math.inf), (None, math.inf)],
)
def test_quota(tmp_path, content, cpus):
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)

    assert resources.quota(tmp_path) == cpus


@pytest.mark.parametrize(
    ("affinity", "quotas", "cpus"),
    [(16, [math.inf], 16), (16, [4.0, 2.5, math.inf], 3), (2, [8.0], 2), (4, [0.2], 1)],
)
def test_the_tightest_limit_counts(monkeypatch, tmp_path, affinity, quotas, cpus):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    groups = [tmp_path / str(n) for n in range(len(quotas))]
    monkeypatch.setattr(resources, "own_cgroups", lambda: groups)
    monkeypatch.setattr(resources, "quota", dict(zip(groups, quotas, strict=True)).__getitem__)

    assert resources.available_cpus() == cpus


@pytest.mark.parametrize(("cpus", "nprocs", "threads"), [(16, 1, 8), (16, 4, 4), (2, 1, 2), (2, 5, 1)])
def test_processes_and_threads_fill_the_cpus(monkeypatch, cpus, nprocs, threads):
    monkeypatch.setattr(resources, "available_cpus", lambda: cpus)

    assert resources.default_threads(nprocs) == threads


@pytest.mark.parametrize(
    ("content", "megabytes"), [("8000000000\n", 8000), ("max\n", math.inf), ("", math.inf), (None, math.inf)]
)
def test_memory_limit(tmp_path, content, megabytes):
    if content is not None:
        (tmp_path / "memory.max").write_text(content)

    assert resources.memory_limit_mb(tmp_path) == megabytes


def test_the_tightest_memory_limit_counts(monkeypatch, tmp_path):
    for name, limit in {"outer": 5e8, "inner": 3e8}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "memory.max").write_text(f"{limit:.0f}\n")
    monkeypatch.setattr(resources, "own_cgroups", lambda: [tmp_path / "inner", tmp_path / "outer"])

    assert resources.available_memory_mb() == 300
