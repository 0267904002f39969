"""Rigid motion correction: many noisy volumes to one sharp mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.engine import Stage, estimate_linear
from pds_bids.prep.moving import moved
from pds_bids.prep.resampling import coarsen

MAX_VOLUMES = 40
"""A mean of 40 volumes is already free of noise; more only cost time."""

ESTIMATION_MM = 4.0
HEAD_RADIUS_MM = 80.0

RIGID = Stage(
    "Rigid[0.1]",
    "MI",
    32,
    iterations=(40,),
    shrink=(1,),
    smooth_mm=(0.0,),
    sampling=0.1,
    threshold=1e-4,
    window=8,
)
"""Most volumes have hardly moved since the last, and are in place after ten iterations; a jump takes more."""


@dataclass(frozen=True)
class MotionCorrected:
    """A mean and how far the head moved.

    Attributes
    ----------
    mean
        On the grid of the input volumes.
    displacement_mm
        (N,) root mean square displacement of each volume from the reference volume.
    """

    mean: Volume
    displacement_mm: NDArray[np.float64]


def evenly_spaced(indices: Sequence[int], limit: int = MAX_VOLUMES) -> list[int]:
    """At most `limit` of the indices, spread over all of them."""
    if len(indices) <= limit:
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, limit).round().astype(int)]


def average(volumes: Sequence[Volume], config: PrepConfig) -> MotionCorrected:
    """Align volumes of one series rigidly to the most typical of them, and take the mean.

    Parameters
    ----------
    volumes
        At least one, all on one grid.
    """
    plain_mean = _mean(volumes, len(volumes))
    typical = min(range(len(volumes)), key=lambda i: float(np.abs(volumes[i].data - plain_mean).sum()))
    reference = volumes[typical]
    to_reference = positions(volumes, typical, config)
    mean = _mean(map(moved, volumes, to_reference), len(volumes))
    centre = _centre_mm(reference)
    displacement = np.array([rms_displacement_mm(matrix, centre) for matrix in to_reference])
    return MotionCorrected(reference.like(mean), displacement)


def _mean(volumes: Iterable[Volume], n: int) -> NDArray[np.float32]:
    """Of `n` volumes, of which one at a time need be in memory."""
    total = reduce(np.add, (volume.data for volume in volumes))
    return np.asarray(total / np.float32(n))


def positions(
    volumes: Sequence[Volume], typical: int, config: PrepConfig, stage: Stage = RIGID
) -> list[Matrix]:
    """(4, 4) world of each volume -> world of the typical one."""
    fixed = coarsen(volumes[typical], ESTIMATION_MM)
    found: list[Matrix] = []
    last: Matrix = np.eye(4)
    for i, volume in enumerate(volumes):
        if i == typical:
            found.append(np.eye(4))
            continue
        # Heads drift: the last volume's position is the best guess for this one.
        last = estimate_linear(fixed, coarsen(volume, ESTIMATION_MM), [stage], config, start=last)
        found.append(last)
    return found


def rms_displacement_mm(matrix: Matrix, centre: NDArray[np.float64]) -> float:
    """Root mean square displacement inside a sphere of 80 mm about `centre` (Jenkinson 1999, TR99MJ1)."""
    change = matrix - np.eye(4)
    shift = change[:3, 3] + change[:3, :3] @ centre
    return float(np.sqrt(HEAD_RADIUS_MM**2 / 5 * np.trace(change[:3, :3].T @ change[:3, :3]) + shift @ shift))


def _centre_mm(volume: Volume) -> NDArray[np.float64]:
    from scipy import ndimage

    centre = ndimage.center_of_mass(volume.data.clip(0))
    return np.asarray((volume.affine @ [*centre, 1.0])[:3])
