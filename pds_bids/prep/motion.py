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

RIGID = Stage("Rigid[0.1]", "MI", 32, iterations=(20,), shrink=(1,), smooth_mm=(0.0,), sampling=0.1)


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
    plain_mean = sum((volume.data for volume in volumes), np.zeros_like(volumes[0].data)) / len(volumes)
    typical = min(range(len(volumes)), key=lambda i: float(np.abs(volumes[i].data - plain_mean).sum()))
    reference = volumes[typical]
    fixed = coarsen(reference, ESTIMATION_MM)
    centre = _centre_mm(fixed)
    total = np.zeros_like(plain_mean)
    to_reference: Matrix = np.eye(4)
    displacement = np.zeros(len(volumes))
    for i, volume in enumerate(volumes):
        if i == typical:
            total += volume.data
            continue
        moving = coarsen(volume, ESTIMATION_MM)
        # Heads drift: the last volume's position is the best guess for this one.
        to_reference = estimate_linear(fixed, moving, [RIGID], config, start=to_reference)
        displacement[i] = rms_displacement_mm(to_reference, centre)
        total += resample(
            volume, reference.grid, to_reference, "bspline", space=volume.space, outside="nearest"
        ).data
    return MotionCorrected(reference.like(total / len(volumes)), displacement)


def rms_displacement_mm(matrix: Matrix, centre: NDArray[np.float64]) -> float:
    """Root mean square displacement inside a sphere of 80 mm about `centre` (Jenkinson 1999, TR99MJ1)."""
    change = matrix - np.eye(4)
    shift = change[:3, 3] + change[:3, :3] @ centre
    return float(np.sqrt(HEAD_RADIUS_MM**2 / 5 * np.trace(change[:3, :3].T @ change[:3, :3]) + shift @ shift))


def _centre_mm(volume: Volume) -> NDArray[np.float64]:
    from scipy import ndimage

    centre = ndimage.center_of_mass(volume.data.clip(0))
    return np.asarray((volume.affine @ [*centre, 1.0])[:3])
