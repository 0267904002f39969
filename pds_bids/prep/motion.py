"""Rigid motion correction: many noisy volumes to one sharp mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.engine import Stage, estimate_linear
from pds_bids.prep.resampling import coarsen, resample

MAX_VOLUMES = 40
"""A mean of 40 volumes is already free of noise; more only cost time."""

ESTIMATION_MM = 4.0
HEAD_RADIUS_MM = 80.0

STILL_MM = 0.15
"""Volumes that lie no further apart are added up, and moved together: their places are not known better."""

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
    plain_mean = _mean(volumes)
    typical = min(range(len(volumes)), key=lambda i: float(np.abs(volumes[i].data - plain_mean).sum()))
    reference = volumes[typical]
    to_reference = positions(volumes, typical, config)
    centre = _centre_mm(reference)
    total = np.zeros_like(plain_mean)
    for matrix, members in together(to_reference, centre):
        total += len(members) * moved(reference.like(_mean([volumes[i] for i in members])), matrix).data
    displacement = np.array([rms_displacement_mm(matrix, centre) for matrix in to_reference])
    return MotionCorrected(reference.like(total / len(volumes)), displacement)


def _mean(volumes: Sequence[Volume]) -> NDArray[np.float32]:
    total = np.zeros_like(volumes[0].data)
    for volume in volumes:
        total += volume.data
    return total / np.float32(len(volumes))


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


def moved(volume: Volume, matrix: Matrix) -> Volume:
    """A volume carried to where the reference lies, on the same grid."""
    if np.array_equal(matrix, np.eye(4)):
        return volume
    return resample(volume, volume.grid, matrix, "bspline", space=volume.space, outside="nearest")


def together(matrices: Sequence[Matrix], centre: NDArray[np.float64]) -> list[tuple[Matrix, list[int]]]:
    """Places, the reference's own first, and which volumes lie there: no further from it than `STILL_MM`."""
    places: list[tuple[Matrix, list[int]]] = [(np.eye(4), [])]
    for i, matrix in enumerate(matrices):
        for place, members in places:
            if rms_displacement_mm(matrix @ np.linalg.inv(place), centre) <= STILL_MM:
                members.append(i)
                break
        else:
            places.append((matrix, [i]))
    return places


def rms_displacement_mm(matrix: Matrix, centre: NDArray[np.float64]) -> float:
    """Root mean square displacement inside a sphere of 80 mm about `centre` (Jenkinson 1999, TR99MJ1)."""
    change = matrix - np.eye(4)
    shift = change[:3, 3] + change[:3, :3] @ centre
    return float(np.sqrt(HEAD_RADIUS_MM**2 / 5 * np.trace(change[:3, :3].T @ change[:3, :3]) + shift @ shift))


def _centre_mm(volume: Volume) -> NDArray[np.float64]:
    from scipy import ndimage

    centre = ndimage.center_of_mass(volume.data.clip(0))
    return np.asarray((volume.affine @ [*centre, 1.0])[:3])
