"""How long it takes to find out who has what, against a bare walk, PyBIDS and bids2table.

Usage, with bids2table installed (``pip install -e ".[bench]"``)::

    python -m benchmarks.discovery docs/results/performance_discovery.json
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.datasets import write_empty_dataset
from benchmarks.measure import Cost, Costs, Row, compared, cost, in_turn, probe_cost, run, spread

SMALL, LARGE = 1000, 10_000

OURS, WALK = "pds-bids", "os.walk"


def inventory(bids: str) -> Cost:
    """What a run does first: every visit of the dataset."""
    from pds_bids.bids.inventory import inventory
    from pds_bids.core.config import Selection

    return cost(lambda: inventory(Path(bids), Selection()))


def walk(bids: str) -> Cost:
    """The floor: every name, and nothing made of it."""
    return cost(lambda: sum(len(files) for _, _, files in os.walk(bids)))


def pybids(bids: str) -> Cost:
    """An index in memory, without reading sidecars."""
    from bids import BIDSLayout
    from bids.layout import BIDSLayoutIndexer

    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
    return cost(lambda: BIDSLayout(bids, validate=False, indexer=indexer))


def bids2table(bids: str) -> Cost:
    """A table in memory, without reading sidecars."""
    from bids2table import index_dataset

    return cost(lambda: index_dataset(bids))


PROBES: Mapping[str, Callable[[str], Cost]] = {
    OURS: inventory,
    WALK: walk,
    "PyBIDS": pybids,
    "bids2table": bids2table,
}


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Rivals on the small dataset, the fast ones also on the large one, and how costs grow between them."""
    with tempfile.TemporaryDirectory() as name:
        small = write_empty_dataset(Path(name, "small"), SMALL)
        large = write_empty_dataset(Path(name, "large"), LARGE)
        there = [probe for probe in PROBES if probe not in ("bids2table",) or importlib.util.find_spec(probe)]

        def costs(bids: Path, probes: Sequence[str], rounds: int) -> Costs:
            rivals = {probe: partial(probe_cost, "discovery", probe, bids) for probe in probes}
            return in_turn(rivals, rounds)

        few = costs(small, there, arguments.rounds)
        many = costs(large, [OURS, WALK], arguments.rounds)
    return {
        f"{SMALL:,} subjects": compared(few, WALK),
        f"{LARGE:,} subjects": compared(many, WALK),
        "Ten times as many subjects": [growth(probe, few[probe], many[probe]) for probe in many],
    }


def growth(name: str, few: Sequence[Cost], many: Sequence[Cost]) -> Row:
    """How many times longer ten times as many subjects take, and how much more memory."""
    pairs = list(zip(few, many, strict=True))
    return {
        "what": name,
        "times_wall": spread([after.wall_s / before.wall_s for before, after in pairs]),
        "times_cpu": spread([after.cpu_s / before.cpu_s for before, after in pairs]),
        "more_mb": round(median(after.peak_mb - before.peak_mb for before, after in pairs)),
    }


if __name__ == "__main__":
    run("discovery", "Discovery", measure, argparse.ArgumentParser(description=__doc__))
