"""A BOLD series to its mean: without the volumes before the steady state, without motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.prep.reduced import Choose, Reduced, reduce_volumes
from pds_bids.prep.series import open_series

START_WINDOW = 40
OUTLIER_Z = 3.5
MIN_RISE = 0.02
"""Signal drifts by 1 % or so in any scan; magnetisation before its steady state is clearly above that."""


def reduce_bold(path: Path, metadata: dict[str, Any], config: PrepConfig, choose: Choose = list) -> Reduced:
    """Mean of a BOLD series.

    Parameters
    ----------
    path
        4D NIfTI.
    metadata
        Its sidecar; `RepetitionTime` and `EchoTime` (s) are kept among the facts.
    choose
        Given the volumes in the steady state.

    Raises
    ------
    ParticipantError
        Naming the file, if it is not a readable series of a head.
    """
    series = open_series(path)
    window = range(min(series.n_volumes, START_WINDOW))
    means = np.array([_finite_mean(volume.data) for volume in series.volumes(window)])
    dropped = count_non_steady(means)
    facts: dict[str, Any] = {"modality": "bold", "n_dropped": dropped}
    facts |= {key: metadata[key] for key in ("RepetitionTime", "EchoTime") if key in metadata}
    return reduce_volumes(series, choose(list(range(dropped, series.n_volumes))), facts, [], config)


def _finite_mean(data: NDArray[np.float32]) -> float:
    finite = data[np.isfinite(data)]
    return float(finite.mean(dtype=np.float64)) if finite.size else 0.0


def count_non_steady(means: NDArray[np.float64]) -> int:
    """How many volumes at the start are clearly brighter than the rest.

    Parameters
    ----------
    means
        (N,) mean signal of the first volumes of the series.

    Returns
    -------
    int
        At most a quarter of N: of two or three volumes none can be told from the others.

    Examples
    --------
    >>> count_non_steady(np.array([140.0, 112.0, 101.0] + 20 * [100.0]))
    2
    >>> count_non_steady(np.array([140.0, 100.0]))
    0
    """
    steady = means[len(means) // 2 :]
    level = float(np.median(steady))
    spread = 1.4826 * float(np.median(np.abs(steady - level)))
    bright = means - level > max(OUTLIER_Z * spread, MIN_RISE * abs(level))
    leading = int(np.argmin(bright)) if not bright.all() else 0
    return min(leading, len(means) // 4)
