"""Reading a long BOLD series: time and memory by its length, against nibabel's plain mean.

Usage::

    python -m benchmarks.series docs/results/performance_series.json --rounds 3
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.datasets import write_bold
from benchmarks.measure import Cost, Row, compared, cost, in_turn, probe_cost, run, spread

SHORT, LONG = 300, 1200

OURS, FLOOR, PLAIN = (
    "pds-bids, checked and 40 volumes",
    "nibabel, one volume after another",
    "nibabel, get_fdata",
)


def chosen_volumes(path: str) -> Cost:
    """What the main job reads: the checksum, the header, and the volumes that the mean is taken of."""
    from pds_bids.prep.motion import evenly_spaced
    from pds_bids.prep.series import open_series

    def work() -> None:
        series = open_series(Path(path))
        list(series.volumes(evenly_spaced(range(series.n_volumes))))

    return cost(work)


def streamed_mean(path: str) -> Cost:
    """The floor of memory: one volume and the mean."""
    import nibabel as nb

    def work() -> None:
        image = nb.Nifti1Image.from_filename(path, keep_file_open=True)
        total = np.zeros(image.shape[:3], np.float32)
        for index in range(image.shape[3]):
            total += image.dataobj[..., index]

    return cost(work)


def plain_mean(path: str) -> Cost:
    """The line that everybody writes first."""
    import nibabel as nb

    return cost(lambda: nb.Nifti1Image.from_filename(path).get_fdata().mean(axis=3))


PROBES = {OURS: chosen_volumes, FLOOR: streamed_mean, PLAIN: plain_mean}


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every way on both lengths."""
    with tempfile.TemporaryDirectory() as name:
        costs = {}
        for n_volumes in (SHORT, LONG):
            path = write_bold(Path(name, f"{n_volumes}.nii.gz"), n_volumes)
            rivals = {probe: partial(probe_cost, "series", probe, path) for probe in PROBES}
            costs[n_volumes] = in_turn(rivals, arguments.rounds)
    growth: list[Row] = []
    for probe in PROBES:
        pairs = list(zip(costs[SHORT][probe], costs[LONG][probe], strict=True))
        row: Row = {"what": probe, "times_cpu": spread([long.cpu_s / short.cpu_s for short, long in pairs])}
        growth.append(row | {"more_mb": round(max(long.peak_mb - short.peak_mb for short, long in pairs))})
    return {
        f"{LONG:,} volumes": compared(costs[LONG], FLOOR),
        f"{LONG // SHORT} times as many volumes": growth,
    }


if __name__ == "__main__":
    run("series", "A long series", measure, argparse.ArgumentParser(description=__doc__))
