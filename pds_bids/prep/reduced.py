"""What a 4D series becomes: one 3D reference and the facts of its making."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Volume
from pds_bids.prep.bias import correct_bias
from pds_bids.prep.failures import failures_of
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.motion import MAX_VOLUMES, MotionCorrected, average, evenly_spaced
from pds_bids.prep.orientation import canonical, stored_on
from pds_bids.prep.scratch import scratch_folder
from pds_bids.prep.series import Series, finite

FEW_VOLUMES = 5

Choose = Callable[[list[int]], list[int]]
"""Which of the usable volumes of a series to take; `list` takes all."""


@dataclass(frozen=True)
class Reduced:
    """An acquired series reduced to one 3D reference on its own grid.

    Attributes
    ----------
    path
        The series.
    volume
        Motion-corrected, bias-corrected mean; finite, >= 0, native grid, axes as stored.
    facts
        JSON-able account of what was done.
    warnings
        Sentences for the user.
    mask
        Brain (0 or 1) on the same grid, where another pipeline has made one.
    """

    path: Path
    volume: Volume
    facts: dict[str, Any]
    warnings: tuple[str, ...]
    mask: Volume | None = None


def reduce_volumes(
    series: Series, indices: list[int], facts: dict[str, Any], warnings: list[str], config: PrepConfig
) -> Reduced:
    """Mean over the chosen volumes of a series: motion, average, bias field.

    Parameters
    ----------
    series
        The open series.
    indices
        Volumes that may be used; at most 40 of them, evenly spaced, are.
    facts, warnings
        What the caller found out; this function adds to a copy.

    Raises
    ------
    ParticipantError
        If the volumes cannot be read, or hold no image.
    """
    with failures_of(series.path, series.warnings):
        with _store(config) as keep:
            volumes, notes = _read(series, evenly_spaced(indices, MAX_VOLUMES), keep)
            corrected = average(volumes, config)
        mean = corrected.mean.like(corrected.mean.data.clip(0))
        volume = stored_on(correct_bias(mean, brain_mask(mean, series.path), config), series.grid)
    notes = [*series.warnings, *warnings, *notes]
    if len(volumes) < FEW_VOLUMES:
        notes.append(f"the mean is taken over {len(volumes)} volume(s) only: expect noise")
    all_facts = facts | {"n_volumes": series.n_volumes, "n_used": len(volumes)} | _motion_facts(corrected)
    return Reduced(series.path, volume, all_facts, tuple(notes))


@contextmanager
def _store(config: PrepConfig) -> Iterator[Callable[[Volume], Volume]]:
    """What keeps a volume until the block is left: in memory, or mapped from a file with `--low-mem`."""
    if not config.low_mem:
        yield lambda volume: volume
        return
    with scratch_folder() as folder:
        numbers = count()

        def keep(volume: Volume) -> Volume:
            path = folder / f"{next(numbers)}.npy"
            np.save(path, volume.data)
            return replace(volume, data=np.load(path, mmap_mode="r"))

        yield keep


def _read(
    series: Series, indices: list[int], keep: Callable[[Volume], Volume]
) -> tuple[list[Volume], list[str]]:
    """The usable ones among some volumes, in canonical axes, and what was wrong with the others."""
    volumes, blemished = [], 0
    for volume in series.volumes(indices):
        blemished += not np.isfinite(volume.data).all()
        clean = canonical(volume.like(finite(volume.data, series.path, "a volume")))
        if np.ptp(clean.data) > 0:
            volumes.append(keep(clean))
    if not volumes:
        raise ParticipantError(series.path, "every volume is constant", "export the series again")
    if max(volume.data.max() for volume in volumes) <= 0:
        raise ParticipantError(series.path, "has no positive intensities", "give the magnitude image")
    notes = []
    if blemished:
        notes.append(f"NaN or infinite voxels in {blemished} volume(s) were set to 0")
    if len(volumes) < len(indices):
        notes.append(f"{len(indices) - len(volumes)} empty volume(s) were left out")
    return volumes, notes


def _motion_facts(corrected: MotionCorrected) -> dict[str, float]:
    displacement = corrected.displacement_mm
    return {
        "max_displacement_mm": round(float(displacement.max()), 3),
        "mean_displacement_mm": round(float(displacement.mean()), 3),
    }
