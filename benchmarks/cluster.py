"""What sharing visits out with Dask costs: the same visits in this process, on one worker, and on two.

Usage::

    python benchmarks/cluster.py BIDS_DIR docs/results/cluster.tsv --note "what else ran"

Modules are loaded before the clock starts. Registration is coarse (`--sloppy`) and outputs are native.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from distributed import Client, LocalCluster

from pds_bids.app import participant
from pds_bids.core.config import Config, OutputConfig, PrepConfig, RunConfig, Selection

HEAD = ("workers", "visits", "wall_s_each", "cpu_s_each", "dask_cpu_s_each", "cpu_efficiency", "note")


def warm() -> None:
    """Load what a visit needs."""
    import ants  # noqa: F401

    from pds_bids.app.visit import load_synthesiser

    load_synthesiser(Config(Path(), Path(), Path()).synthesis)


def cpu_s() -> float:
    """CPU time of this process so far."""
    return sum(os.times()[:2])


def measure(bids: Path, participants: tuple[str, ...], workers: int) -> tuple[float, float, float]:
    """Wall time, CPU time of whoever does the visits, and CPU time of scheduler and client; in seconds.

    Parameters
    ----------
    workers
        0: this process.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = Config(
            bids,
            folder / "out",
            folder / "work",
            selection=Selection(participants=participants),
            prep=PrepConfig(sloppy=True),
            output=OutputConfig(spaces=("native",)),
        )
        if not workers:
            warm()
            start, before = os.times().elapsed, cpu_s()
            participant.run(config)
            return os.times().elapsed - start, cpu_s() - before, 0.0
        local = stack.enter_context(
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1")
        )
        client = stack.enter_context(Client(local))
        client.run(warm)
        theirs, start, before = sum(client.run(cpu_s).values()), os.times().elapsed, cpu_s()
        participant.run(Config(**vars(config) | {"run": RunConfig(scheduler=local.scheduler_address)}))
        wall, ours = os.times().elapsed - start, cpu_s() - before
        return wall, sum(client.run(cpu_s).values()) - theirs, ours


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bids", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--participants", nargs="+", default=[], help="labels; by default all")
    parser.add_argument("--note", default="", help="the machine, and what else ran")
    given = parser.parse_args()
    bids = given.bids.resolve()
    participants = tuple(given.participants) or tuple(p.name[4:] for p in sorted(bids.glob("sub-*")))
    lines, n = ["\t".join(HEAD)], len(participants)
    alone = 0.0
    for workers in (0, 1, 2):
        wall, theirs, ours = measure(bids, participants, workers)
        alone = alone or theirs
        row = (workers or "none", n, wall / n, theirs / n, ours / n, alone / (theirs + ours), given.note)
        lines.append("\t".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row))
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
