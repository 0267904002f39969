"""What needs no network: fitted on training pairs, one pair in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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


@dataclass(frozen=True)
class PersonalTemplate:
    """The population template as it is at an age, for a sex: voxelwise ridge on age, its square, and sex.

    Attributes
    ----------
    mean
        (X, Y, Z) plain template.
    weights_CXYZ
        Of a constant and of each standardised covariate.
    centre_C, scale_C
        Mean and sd of the covariates of the people it was fitted to.
    """

    mean: Array
    weights_CXYZ: Array
    centre_C: Array
    scale_C: Array

    LEAST: ClassVar[int] = 5
    """People: one more than there are weights."""

    @classmethod
    def fit(
        cls, pairs: Iterable[FitPair], age_N: Array, sex_N: Array, prior: float = PRIOR_PAIRS
    ) -> PersonalTemplate:
        """From running sums; a voxel outside every mask is 0.

        A voxel minimises sum (y - mean - w z)^2 + prior |w|^2: with few people it has the plain template.

        Parameters
        ----------
        age_N, sex_N
            Years and a number for each pair, in their order.
        """
        covariates_NC = _covariates(age_N, sex_N)
        centre, scale = covariates_NC.mean(axis=0), covariates_NC.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)  # what never varies explains nothing
        n = 1 + len(scale)
        gram: Array = np.zeros((1, 1, 1, n, n))
        moment: Array = np.zeros((1, 1, 1, n))
        for pair, covariates_C in zip(pairs, covariates_NC, strict=True):
            z = np.concatenate([[1.0], (covariates_C - centre) / scale])
            gram = gram + pair.mask[..., None, None] * np.outer(z, z)
            moment = moment + (pair.mask * pair.target)[..., None] * z
        count = gram[..., 0, 0]
        mean = np.divide(moment[..., 0], count, out=np.zeros(count.shape), where=count > 0)
        residual = moment - mean[..., None] * gram[..., 0]
        weights = np.linalg.solve(gram + prior * np.eye(n), residual[..., None])[..., 0]
        return cls(mean, np.moveaxis(weights, -1, 0), centre, scale)

    def __call__(self, age: float, sex: float) -> Array:
        """(X, Y, Z) what somebody of an age and sex looks like on average."""
        (covariates_C,) = (_covariates(np.array([age]), np.array([sex])) - self.centre_C) / self.scale_C
        of_person: Array = self.mean + np.tensordot([1.0, *covariates_C], self.weights_CXYZ, axes=1)
        return of_person


def _covariates(age_N: Array, sex_N: Array) -> Array:
    """(N, 3): age, its square about 60 years, which says little of age itself, and sex."""
    return np.stack([age_N, (age_N - 60.0) ** 2, sex_N], axis=1)


def _running_sums(pairs: Iterable[FitPair]) -> Array:
    """(5, X, Y, Z) of 1, x, y, x^2, x y over the pairs whose mask holds the voxel."""
    sums: Array = np.zeros((5, 1, 1, 1))
    for source, target, mask in pairs:
        x, y = source.astype(np.float64), target.astype(np.float64)
        sums = sums + mask * np.stack([np.ones_like(x), x, y, x * x, x * y])
    return sums
