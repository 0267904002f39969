"""How fast the simulator is: subjects per minute from `simulate`, training pairs per second.

Usage::

    python benchmarks/simulate.py docs/results/simulator_throughput.tsv --note "nothing else ran"
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pds_bids.app.anatomies import template_anatomy
from pds_bids.app.bank import simulated_sample
from pds_bids.app.simulation import simulate
from pds_bids.simulation.cohort import plan_cohort


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def subjects_per_minute(n_subjects: int, processes: int) -> float:
    """Whole subjects with BOLD, DWI, T1w and truth, sites in turn, start of the processes included."""
    visits = plan_cohort(n_subjects, ["oasis", "adni"])
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(lambda: simulate(Path(folder), visits, processes=processes))
    return 60 * n_subjects / took


def pairs_per_second(n_pairs: int, device: str) -> float:
    """Samples as a bank stores them, one after the other, after one that warms the device up."""
    anatomy = template_anatomy()
    simulated_sample(anatomy, n_pairs, device)
    return n_pairs / seconds(lambda: [simulated_sample(anatomy, seed, device) for seed in range(n_pairs)])


def processor() -> str:
    """Name of the CPU, where the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="table to write (.tsv)")
    parser.add_argument("--n-subjects", type=int, default=4)
    parser.add_argument("--n-pairs", type=int, default=10)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--note", default="", help="what else ran")
    arguments = parser.parse_args()

    cpu = f"{processor()}, {len(os.sched_getaffinity(0))} CPUs"
    rows = [("what", "on", "rate", "unit", "n", "note")]
    for processes in arguments.processes:
        rate = subjects_per_minute(arguments.n_subjects, processes)
        what = f"simulate, {processes} processes" if processes > 1 else "simulate, 1 process"
        rows.append((what, cpu, f"{rate:.2f}", "subjects/min", str(arguments.n_subjects), arguments.note))
    torch.set_num_threads(1)
    devices = {"cpu": cpu + ", 1 thread"}
    if torch.cuda.is_available():
        devices["cuda"] = torch.cuda.get_device_name()
    for device, name in devices.items():
        rate = pairs_per_second(arguments.n_pairs, device)
        rows.append(
            ("training pairs", name, f"{rate:.2f}", "pairs/s", str(arguments.n_pairs), arguments.note)
        )
    text = "".join("\t".join(row) + "\n" for row in rows)
    arguments.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
