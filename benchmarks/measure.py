"""What every benchmark needs: costs of rivals in turn, as ratios, and a record that the documentation shows.

A rival runs in a process of its own, so that its peak memory is its own, and rivals take turns, so that what
else runs on the machine hits all of them alike. A benchmark is a module with `main`, which calls `run`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from pds_bids.app.provenance import software_versions
from pds_bids.bids.writing import write_json

ROOT = Path(__file__).resolve().parents[1]

KIB_MB = 1.024e-3

Row = dict[str, Any]
"""Of a table: column to a value, or to `[median, lowest, highest]` over the rounds."""

Benchmark = Callable[[argparse.Namespace], Mapping[str, Sequence[Row]]]
"""Arguments to tables by title."""


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Attributes
    ----------
    wall_s
        Time that passed, which depends on what else runs.
    cpu_s
        Time that processors worked on it, in this process and its children, which hardly does.
    peak_mb
        Most memory of the process that did it, MB; 0 where that is not known.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float = 0.0

    def times(self, factor: float) -> Cost:
        """What so many of them take, in the same memory."""
        return Cost(self.wall_s * factor, self.cpu_s * factor, self.peak_mb)


Costs = Mapping[str, Sequence[Cost]]
"""Name of each rival to its cost in every round."""


def cost(work: Callable[[], object], n: int = 1) -> Cost:
    """Cost of each of the `n` items that one call makes."""
    start, cpu_s = time.perf_counter(), _cpu_s()
    work()
    return Cost((time.perf_counter() - start) / n, (_cpu_s() - cpu_s) / n)


def _cpu_s() -> float:
    """Of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def command_cost(command: Sequence[str], cores: int = 1) -> Cost:
    """A whole command, its start included.

    Its peak memory is told where it is more than that of this process, which Linux counts in.
    """
    whole, _ = _watched(command, cores)
    floor_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB_MB
    return whole if whole.peak_mb > floor_mb else replace(whole, peak_mb=0.0)


def probe_cost(benchmark: str, probe: str, *given: object, cores: int = 1) -> Cost:
    """What `benchmarks.<benchmark>.PROBES[probe](*given)` says it cost, and the peak memory of its process.

    The arguments arrive as text.
    """
    call = [sys.executable, "-m", "benchmarks.measure", benchmark, probe, *map(str, given)]
    _, output = _watched(call, cores)
    return Cost(**json.loads(output.splitlines()[-1]))


def _watched(command: Sequence[str], cores: int = 1) -> tuple[Cost, str]:
    """Cost and output of a process.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), str(cores))
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | threads, cwd=ROOT) as process:
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    wall_s = time.perf_counter() - start
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB_MB), output


def in_turn(rivals: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Costs of all rivals, every round in the opposite order of the last."""
    costs: dict[str, list[Cost]] = {name: [] for name in rivals}
    for number in range(rounds):
        for name in list(rivals)[:: -1 if number % 2 else 1]:
            costs[name].append(rivals[name]())
            sys.stderr.write(f"{number + 1}/{rounds} {name}: {costs[name][-1]}\n")
    return costs


def spread(values: Sequence[float]) -> list[float]:
    """Median, lowest and highest."""
    return [float(f"{value:.4g}") for value in (median(values), min(values), max(values))]


def compared(costs: Costs, base: str) -> list[Row]:
    """One row per rival: what it took, and how many times what `base` took in the same round."""
    rows = []
    for name, own in costs.items():
        row: Row = {"what": name, "wall_s": spread([c.wall_s for c in own])}
        row["cpu_s"] = spread([c.cpu_s for c in own])
        for measure, column in (
            ("wall_s", "times_wall"),
            ("cpu_s", "times_cpu"),
            ("peak_mb", "times_memory"),
        ):
            pairs = [
                (getattr(c, measure), getattr(b, measure)) for c, b in zip(own, costs[base], strict=True)
            ]
            if all(of for _, of in pairs):
                row[column] = spread([value / of for value, of in pairs])
        if any(c.peak_mb for c in own):
            row["peak_mb"] = round(max(c.peak_mb for c in own))
        rows.append(row)
    return rows


def processor() -> str:
    """Name of the CPU, where the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def run(name: str, title: str, measure: Benchmark, parser: argparse.ArgumentParser) -> None:
    """Measure what the command line asks for, and write the record in the shape of an experiment's JSON.

    Parameters
    ----------
    name
        Module of the benchmark.
    title
        Heading.
    measure
        Given the arguments; `rounds` is among them.
    parser
        With the benchmark's own options.
    """
    parser.add_argument("out", type=Path, help="record to write (.json)")
    parser.add_argument("--rounds", type=int, default=5, help="how often rivals take turns")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    arguments = parser.parse_args()
    load = [os.getloadavg()[0]]
    tables = measure(arguments)
    load.append(os.getloadavg()[0])
    cpus = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} CPUs"
    machine = f"{processor()}, {cpus}; load average {load[0]:.1f} before and {load[1]:.1f} after"
    note = f"; {arguments.note}" if arguments.note else ""
    record = {
        "command": f"python -m benchmarks.{name} {' '.join(_public(arguments, parser))}".strip(),
        "experiment": f"performance_{name}",
        "title": title,
        "machine": machine + note,
        "rounds": arguments.rounds,
        "software": software_versions(),
        "findings": [f"Measured on {machine}{note}; {arguments.rounds} rounds."],
        "tables": tables,
        "charts": [],
    }
    write_json(arguments.out, record)


def _public(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """The command line that does the same, with no path of this machine in it."""
    said = []
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if action.dest in ("help", "note") or value == action.default:
            continue
        option = [action.option_strings[0]] if action.option_strings else []
        if action.dest == "out":
            shown = f"docs/results/{arguments.out.name}"
        else:
            shown = action.dest.upper() if isinstance(value, Path) else shlex.join(_words(value))
        said += [*option, shown]
    return said


def _peak_mb() -> float:
    """Most memory that this process has had, as proc(5) tells it: of no process before it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) * KIB_MB for line in lines if line.startswith("VmHWM"))


def probe() -> None:
    """In a process of its own: run a probe and print its cost."""
    benchmark, name, *given = sys.argv[1:]
    found = importlib.import_module(f"benchmarks.{benchmark}").PROBES[name](*given)
    sys.stdout.write(f"{json.dumps(asdict(replace(found, peak_mb=_peak_mb())))}\n")


def _words(value: object) -> list[str]:
    return [str(word) for word in (value if isinstance(value, list) else [value])]


if __name__ == "__main__":
    probe()
