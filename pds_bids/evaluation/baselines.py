"""What needs no network: fitted on training pairs, one pair in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PRIOR_PAIRS = 4.0
"""Pairs that the global line is worth to a voxel's own line."""


class FitPair(NamedTuple):
    """One training pair in relative units, (X, Y, Z) each."""

    source: Array
    target: Array
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class QuantileMap:
    """The increasing map that gives the sources of training the histogram of their targets.

    Attributes
    ----------
    source_Q, target_Q
        Quantiles at the same levels, averaged over training pairs.
    """

    source_Q: Array
    target_Q: Array

    @classmethod
    def fit(cls, pairs: Iterable[FitPair], n_levels: int = 257) -> QuantileMap:
        """Average the quantile functions inside the masks.

        Raises
        ------
        ValueError
            If there are no pairs.
        """
        levels = np.linspace(0, 1, n_levels)
        quantiles = [
            [np.quantile(image[pair.mask], levels) for image in (pair.source, pair.target)] for pair in pairs
        ]
        if not quantiles:
            raise ValueError("no pairs to fit the quantile map to")
        return cls(*np.mean(quantiles, axis=0))

    def __call__(self, source: Array) -> Array:
        """Values of a source, any shape, as those of its target; constant beyond the training range."""
        matched: Array = np.interp(source, self.source_Q, self.target_Q)
        return matched


@dataclass(frozen=True)
class VoxelwiseLine:
    """target = intercept + slope * source, with a line of its own for every voxel.

    Attributes
    ----------
    intercept, slope
        (X, Y, Z)
    """

    intercept: Array
    slope: Array

    @classmethod
    def fit(cls, pairs: Iterable[FitPair], prior: float = PRIOR_PAIRS) -> VoxelwiseLine:
        """Ridge regression of every voxel's residuals from the global line, from running sums.

        With x centred on the global mean, a voxel minimises sum (r - a - b x)^2 + prior (a^2 + var(x) b^2):
        `prior` pairs drawn from the whole brain, all of them on the global line. So a voxel outside every
        mask has the global line, and one seen in many pairs its own.

        Raises
        ------
        ValueError
            If there are no pairs, or all source values are equal.
        """
        n, x, y, xx, xy = sums = _running_sums(pairs)
        total, *means = (float(s.sum()) for s in sums)
        if not total:
            raise ValueError("no voxels to fit lines to")
        x_mean, y_mean, xx_mean, xy_mean = (m / total for m in means)
        variance = xx_mean - x_mean**2
        if variance <= 0:
            raise ValueError("all source values are equal: no line")
        global_slope = (xy_mean - x_mean * y_mean) / variance

        # sums of the centred source u, of its square, and of the residual r from the global line
        u = x - n * x_mean
        uu = xx - 2 * x_mean * x + n * x_mean**2
        r = y - n * y_mean - global_slope * u
        ur = xy - x_mean * y - y_mean * x + n * x_mean * y_mean - global_slope * uu

        count, power = n + prior, uu + prior * variance
        determinant = count * power - u**2
        slope = global_slope + (count * ur - u * r) / determinant
        offset = (power * r - u * ur) / determinant
        return cls(y_mean + offset - slope * x_mean, slope)

    def __call__(self, source: Array) -> Array:
        """(X, Y, Z) relative units to the same of the target."""
        return self.intercept + self.slope * source


def _running_sums(pairs: Iterable[FitPair]) -> Array:
    """(5, X, Y, Z) of 1, x, y, x^2, x y over the pairs whose mask holds the voxel."""
    sums: Array = np.zeros((5, 1, 1, 1))
    for source, target, mask in pairs:
        x, y = source.astype(np.float64), target.astype(np.float64)
        sums = sums + mask * np.stack([np.ones_like(x), x, y, x * x, x * y])
    return sums
