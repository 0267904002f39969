"""How many CPUs and how much memory this job may use, on a shared machine less than there is."""

from __future__ import annotations

import math
import os
from pathlib import Path

MAX_THREADS = 8
"""Default limit per process: more CPUs do more for a second participant than for a 2 mm registration."""

PARTICIPANT_MB = 1000
"""What a participant's process takes at most (docs/usage.rst)."""

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


def available_memory_mb() -> float:
    """Memory of the machine in MB, or less where a control group has a limit."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    return min(machine, *map(memory_limit_mb, own_cgroups()))


def memory_limit_mb(cgroup: Path) -> float:
    """What the group's `memory.max` grants, in MB; infinite without a limit."""
    try:
        granted = (cgroup / "memory.max").read_text().strip()
    except OSError:
        return math.inf
    return int(granted) / 1e6 if granted.isdigit() else math.inf
