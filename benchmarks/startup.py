"""How soon the program answers: `--help`, and `--dry-run` on a hundred subjects, against Python itself.

Usage::

    python -m benchmarks.startup docs/results/performance_startup.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.datasets import write_empty_dataset
from benchmarks.measure import Row, command_cost, compared, in_turn, run

N_SUBJECTS = 100


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Whole commands, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        bids = write_empty_dataset(Path(name, "bids"), N_SUBJECTS)
        tool = [sys.executable, "-m", "pds_bids"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import click, importlib.metadata": [sys.executable, "-c", "import click, importlib.metadata"],
            "pds-bids --help": [*tool, "--help"],
            f"pds-bids --dry-run, {N_SUBJECTS} subjects": [
                *tool, str(bids), str(Path(name, "out")), "participant", "--dry-run",
            ],
            "import torch": [sys.executable, "-c", "import torch"],
        }  # fmt: skip
        rivals = {what: partial(command_cost, command) for what, command in commands.items()}
        return {"Start-up": compared(in_turn(rivals, arguments.rounds), "python -c pass")}


if __name__ == "__main__":
    run("startup", "Start-up", measure, argparse.ArgumentParser(description=__doc__))
