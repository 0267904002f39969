"""How many CPUs this job may use, which on a shared machine is fewer than it has."""

from __future__ import annotations

import math
import os
from pathlib import Path

MAX_THREADS = 8
"""Default limit per process: more CPUs do more for a second participant than for a 2 mm registration."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def default_threads(nprocs: int) -> int:
    """Threads for each of `nprocs` processes that together fill the CPUs this job may use."""
    return max(1, min(MAX_THREADS, available_cpus() // nprocs))


def available_cpus() -> int:
    """CPUs in this process's affinity mask, or fewer where a control group has a quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, *map(quota, own_cgroups()))))


def own_cgroups(root: Path = _CGROUPS, process: Path = _OWN_CGROUP) -> list[Path]:
    """Version 2 control groups this process is in, innermost first; the tightest quota counts."""
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return [root]
    own = root.joinpath(*(line.removeprefix("0::/") for line in lines if line.startswith("0::/")))
    return [own, *(parent for parent in own.parents if parent.is_relative_to(root))]


def quota(cgroup: Path) -> float:
    """CPUs that the group's `cpu.max` grants: `"150000 100000"` is 1.5; infinite without a quota."""
    try:
        granted, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return math.inf
    return math.inf if granted == "max" else int(granted) / int(period)
