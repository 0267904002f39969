"""A volume moved by a spline along one axis after the other, against one over all of space: time and loss.

Usage, with a folder that holds the datasets `bids_real` and `bids_single`::

    python -m benchmarks.moving docs/results/performance_moving.json --scans SCANS
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Cost, Row, compared, cost, in_turn, run
from benchmarks.registration import SERIES, centre_mm, random_move, volumes_of
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.moving import moved, moved_at_once

MOVES_MM = (0.2, 1.0, 3.0, 6.0)
N_MOVES = 5

Move = Callable[[Volume, Matrix], Volume]


WAYS: Mapping[str, Move] = {"over all of space": moved_at_once, "axis after axis": moved}


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Both ways, on a volume of each series."""
    times: list[Row] = []
    losses: list[Row] = []
    for kind, pattern in SERIES.items():
        volume = volumes_of(next(arguments.scans.glob(pattern)))[0]
        brain = brain_mask(volume).data > 0
        generator = np.random.default_rng(0)
        moves = {
            mm: [random_move(centre_mm(volume), mm, generator) for _ in range(N_MOVES)] for mm in MOVES_MM
        }
        rivals = {f"{kind}, {name}": partial(taken, way, volume, moves[1.0]) for name, way in WAYS.items()}
        times += compared(in_turn(rivals, arguments.rounds), f"{kind}, axis after axis")
        for mm, some in moves.items():
            row: Row = {"what": f"{kind}, {mm:g} mm"}
            for name, way in WAYS.items():
                row[f"lost percent, {name}"] = mean_percent(
                    [(way(way(volume, move), np.linalg.inv(move)), volume) for move in some], brain
                )
            ours = [(moved(volume, move), moved_at_once(volume, move)) for move in some]
            losses.append(row | {"differ_percent": mean_percent(ours, brain)})
    return {"A volume moved": times, "What is lost": losses}


def taken(way: Move, volume: Volume, moves: Sequence[Matrix]) -> Cost:
    """Cost of each move."""
    return cost(lambda: [way(volume, move) for move in moves], len(moves))


def mean_percent(pairs: Sequence[tuple[Volume, Volume]], brain: NDArray[np.bool_]) -> float:
    """Mean absolute difference in the brain, in percent of its median in the second volume."""
    shares = [np.abs(a.data - b.data)[brain].mean() / np.median(b.data[brain]) for a, b in pairs]
    return round(float(100 * np.mean(shares)), 3)


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="folder of the datasets")
    run("moving", "Moving a volume", measure, parser)


if __name__ == "__main__":
    main()
