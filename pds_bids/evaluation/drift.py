"""Does an output lean toward a pattern, or toward the mean, more than the truth does? Pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.metrics import Array


def along(deviations_NR: Array, pattern_R: Array) -> Array:
    """(N,) how much of a pattern each row of deviations holds: 1 is the whole of it, 0 nothing.

    The least-squares multiple of the pattern, over the ROIs that a row knows (not NaN); NaN where those have
    nothing of the pattern.

    Examples
    --------
    >>> along(np.array([[2.0, 4.0], [2.0, -1.0], [np.nan, 6.0]]), np.array([1.0, 2.0])).tolist()
    [2.0, 0.0, 3.0]
    """
    known = ~np.isnan(deviations_NR)
    power = np.where(known, np.square(pattern_R), 0).sum(axis=1)
    product = np.where(known, deviations_NR * pattern_R, 0).sum(axis=1)
    return np.divide(product, power, out=np.full(len(power), np.nan), where=power > 0)


def slope(x: Array, y: Array) -> float:
    """Of the line through the points that are known; NaN where x does not vary.

    Parameters
    ----------
    x, y
        Any shape, the same.
    """
    known = ~np.isnan(x) & ~np.isnan(y)
    if not known.any():
        return float("nan")
    away = x[known] - x[known].mean()
    power = float(away @ away)
    return float(away @ y[known]) / power if power > 1e-12 else float("nan")


def between_people_sd(values_NR: Array, group_N: NDArray[np.generic]) -> Array:
    """(R,) standard deviation between people of one group, pooled over groups; NaN where it is not known.

    Parameters
    ----------
    values_NR
        NaN where somebody has no such ROI.
    group_N
        Which group each row is of.
    """
    total, freedom = np.zeros(values_NR.shape[1]), np.zeros(values_NR.shape[1])
    for group in np.unique(group_N):
        members = values_NR[group_N == group]
        known = ~np.isnan(members)
        count = known.sum(axis=0)
        mean = np.where(known, members, 0).sum(axis=0) / np.maximum(count, 1)
        total += np.square(np.where(known, members - mean, 0)).sum(axis=0)
        freedom += np.maximum(count - 1, 0)
    varies = (freedom > 0) & (total > 0)
    return np.sqrt(np.divide(total, freedom, out=np.full(len(total), np.nan), where=varies))
