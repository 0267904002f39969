"""What a predicted uncertainty is worth, beside the `coverage` of its intervals. Pure functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.metrics import Array, inside


def normal_crps(error: Array, sd: Array, mask: NDArray[np.bool_]) -> float:
    """Mean continuous ranked probability score of normal predictions, in the units of the volumes.

    The integral of the squared difference between the predicted distribution function and the step at the
    truth; least, on average, for the true distribution. With an sd of 0 it is the mean absolute error.
    Closed form: Gneiting and Raftery 2007, J Am Stat Assoc 102:359, equation 21.

    Parameters
    ----------
    error, sd
        (X, Y, Z) error and its predicted standard deviation, which may be 0.
    mask
        (X, Y, Z) boolean.
    """
    from scipy.special import ndtr

    e, s = inside(mask, error, sd)
    z = np.divide(e, s, out=np.copysign(np.inf, e), where=s > 0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return float(np.mean(e * (2 * ndtr(z) - 1) + s * (2 * density - 1 / np.sqrt(np.pi))))


def ensemble_crps(draws_KXYZ: Array, truth: Array, mask: NDArray[np.bool_]) -> float:
    """Mean fair CRPS of K draws: the expected one of the distribution that they were drawn from.

    mean_k |x_k - y| less half the mean |x_j - x_k| over pairs j != k; over all K^2 pairs instead, small
    ensembles would look worse than they are (Ferro 2014, Q J R Meteorol Soc 140:1917).

    Parameters
    ----------
    draws_KXYZ
        (K, X, Y, Z), K >= 2.
    truth
        (X, Y, Z)
    mask
        (X, Y, Z) boolean.

    Raises
    ------
    ValueError
        If there is one draw alone.
    """
    n = len(draws_KXYZ)
    if n < 2:
        raise ValueError(f"the fair CRPS needs two draws or more, not {n}")
    y, *draws = inside(mask, truth, *draws_KXYZ)
    ordered_KN = np.sort(draws, axis=0)
    # In order, x_k is the larger one of k pairs and the smaller one of n - 1 - k.
    differences_N = (2 * np.arange(n) - n + 1) @ ordered_KN
    return float(np.mean(np.abs(ordered_KN - y).mean(axis=0) - differences_N / (n * (n - 1))))


class Sparsification(NamedTuple):
    """What is left of the error when the most uncertain voxels are taken away.

    Attributes
    ----------
    removed
        (L,) share of the voxels taken away, from 0.
    by_sd, by_error
        (L,) mean absolute error of the others over that of all: the largest sd taken first, and at best the
        largest error first.
    ause
        Area between the two curves (Ilg 2018, ECCV): 0 is a perfect order.
    """

    removed: Array
    by_sd: Array
    by_error: Array
    ause: float


def sparsification(error: Array, sd: Array, mask: NDArray[np.bool_], n_levels: int = 100) -> Sparsification:
    """How well the uncertainty lies where the errors are: the order of the voxels counts, not the scale.

    Voxels of equal sd are taken away in random order, on average: a constant sd leaves the error as it is.

    Parameters
    ----------
    error, sd
        (X, Y, Z) error and its predicted standard deviation.
    mask
        (X, Y, Z) boolean.
    """
    e, s = inside(mask, np.abs(error), sd)
    removed = np.arange(n_levels) / n_levels
    kept = np.ceil((1 - removed) * e.size).astype(int)

    def left(by: Array) -> Array:
        _, group, count = np.unique(by, return_inverse=True, return_counts=True)
        ascending = np.repeat(np.bincount(group, e) / count, count)
        curve: Array = np.cumsum(ascending)[kept - 1] / kept
        return curve / (e.mean() or 1.0)

    by_sd, by_error = left(s), left(e)
    return Sparsification(removed, by_sd, by_error, float(np.trapezoid(by_sd - by_error, removed)))


class SpreadSkill(NamedTuple):
    """Predicted against actual error, from the surest voxels to the least sure ones.

    Attributes
    ----------
    spread, rmse
        (n_bins,) root mean square of the sd and of the error; equally many voxels in each bin.
    slope
        Of the line through the bins: 1 is honest, 0 an sd that does not know where errors are large, NaN a
        constant one.
    ratio
        Root mean square of all sd over that of all errors: 1 is honest, less is too sure.
    """

    spread: Array
    rmse: Array
    slope: float
    ratio: float


def spread_skill(error: Array, sd: Array, mask: NDArray[np.bool_], n_bins: int = 20) -> SpreadSkill:
    """The errors that there are where small ones and where large ones are predicted.

    Parameters
    ----------
    error, sd
        (X, Y, Z) error and its predicted standard deviation; of the mean of K draws that is their own times
        sqrt(1 + 1/K), for the truth is one draw more.
    mask
        (X, Y, Z) boolean, with at least `n_bins` voxels.
    """
    e, s = inside(mask, error, sd)
    bins = np.array_split(np.argsort(s), n_bins)
    spread, rmse = (np.sqrt([np.mean(v[chosen] ** 2) for chosen in bins]) for v in (s, e))
    centred = spread - spread.mean()
    power = centred @ centred
    slope = float(centred @ rmse / power) if np.ptp(s) > 0 else float("nan")
    return SpreadSkill(spread, rmse, slope, float(np.sqrt(np.mean(s**2) / np.mean(e**2))))
