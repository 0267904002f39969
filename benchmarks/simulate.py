"""How fast the simulator is: subjects per minute from `simulate`, training pairs per second.

Usage::

    python -m benchmarks.simulate docs/results/simulator_throughput.tsv --note "nothing else ran"
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import Cost, cost, processor
from pds_bids.app.anatomies import template_anatomy
from pds_bids.app.bank import simulated_samples
from pds_bids.app.simulation import simulate
from pds_bids.simulation.cohort import plan_cohort


def cost_of_subjects(n: int, processes: int) -> Cost:
    """Whole subjects with BOLD, DWI, T1w and truth, sites in turn, start of the processes included."""
    visits = plan_cohort(n, ["oasis", "adni"])
    with tempfile.TemporaryDirectory() as folder:
        return cost(lambda: simulate(Path(folder), visits, processes=processes), n)


def cost_of_pairs(n: int, device: str, people: bool) -> Cost:
    """Samples as a bank stores them, one after the other, after one that warms the device up."""
    anatomy = template_anatomy()

    def sample(seed: int) -> object:
        return simulated_samples(anatomy, seed, people=people, device=device)

    sample(n)
    return cost(lambda: [sample(seed) for seed in range(n)], n)


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
    rows = [("what", "on", "rate", "unit", "cpu_s_each", "n", "note")]

    def add(what: str, on: str, each: Cost, unit: str, seconds: float, n: int) -> None:
        rate = f"{seconds / each.wall_s:.2f}"
        rows.append((what, on, rate, unit, f"{each.cpu_s:.2f}", str(n), arguments.note))

    n = arguments.n_subjects
    for processes in arguments.processes:
        add(f"simulate --nprocs {processes}", cpu, cost_of_subjects(n, processes), "subjects/min", 60, n)
    torch.set_num_threads(1)
    devices = {"cpu": cpu + ", 1 thread"}
    if torch.cuda.is_available():
        devices["cuda"] = torch.cuda.get_device_name()
    n = arguments.n_pairs
    for device, name in devices.items():
        for what, people in (("pairs", False), ("pairs of people with age and disease", True)):
            add(what, name, cost_of_pairs(n, device, people), "pairs/s", 1, n)
    text = "".join("\t".join(row) + "\n" for row in rows)
    arguments.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
