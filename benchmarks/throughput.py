"""Participants per hour: one process, a local pool, and the workers of a Dask cluster.

Usage, for example on participants of ``pds-model simulate SIMULATED --n-subjects 8 --no-t1w --missing 1``::

    python -m benchmarks.throughput docs/results/performance_throughput.json --bids SIMULATED --rounds 1

Registration is coarse (`--sloppy`) and outputs are native. Each run is a process of its own; what it imports
for the work counts. The Dask workers stand ready, but have loaded nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Cost, Row, compared, cost, in_turn, probe_cost, run

ALONE = "one process"

CREWS: Mapping[str, tuple[str, int]] = {
    ALONE: ("pool", 1),
    "--nprocs 2": ("pool", 2),
    "--scheduler, 1 worker": ("dask", 1),
    "--scheduler, 2 workers": ("dask", 2),
}
"""Probe, and its number of workers."""


def pool(bids: str, workers: str) -> Cost:
    """All participants in this process, or in processes that it starts."""
    return _participants(bids, "--nprocs", workers)


def dask(bids: str, workers: str) -> Cost:
    """All participants on workers that are there already."""
    with _cluster(int(workers)) as (address, workers_cpu_s):
        before = workers_cpu_s()
        ours = _participants(bids, "--scheduler", address)
        return replace(ours, cpu_s=ours.cpu_s + workers_cpu_s() - before)


@contextmanager
def _cluster(workers: int) -> Iterator[tuple[str, Callable[[], float]]]:
    """Address of a scheduler in this process, and what tells the processor time of its workers."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
        ) as local,
        Client(local) as client,
    ):
        yield local.scheduler_address, lambda: sum(client.run(_cpu_s).values())


def _cpu_s() -> float:
    return sum(os.times()[:2])


def _participants(bids: str, *options: str) -> Cost:
    from pds_bids.cli.main import command

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        work = [
            "-w",
            str(Path(folder, "work")),
            "--sloppy",
            "--omp-nthreads",
            "1",
            "--output-spaces",
            "native",
        ]
        arguments = [bids, str(Path(folder, "out")), "participant", *work, *options]
        codes: list[object] = []
        told = cost(lambda: codes.append(command.main(arguments, standalone_mode=False)))
        if codes != [0]:
            raise RuntimeError(f"the run ended with {codes[0]}")
        return told


PROBES = {"pool": pool, "dask": dask}


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every crew in every round."""
    bids = arguments.bids.resolve()
    visits = len(list(bids.glob("sub-*")))

    def of(probe: str, workers: int) -> Callable[[], Cost]:
        # The peak is that of one process of several.
        return lambda: replace(probe_cost("throughput", probe, bids, workers), peak_mb=0.0).times(1 / visits)

    costs = in_turn({name: of(*crew) for name, crew in CREWS.items()}, arguments.rounds)
    rows = compared(costs, ALONE)
    for row, own in zip(rows, costs.values(), strict=True):
        row["participants_per_hour"] = round(3600 / min(c.wall_s for c in own))
    return {f"{visits} participants, cost of each": rows}


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bids", type=Path, required=True, help="the dataset")
    run("throughput", "Throughput", measure, parser)


if __name__ == "__main__":
    main()
