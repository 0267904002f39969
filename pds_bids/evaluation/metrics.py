"""How close a synthesised volume is to the acquired one. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

DATA_RANGE = 2.0
"""Intensities are relative to the brain's median and clipped to [0, 2]: the range is fixed, not per image."""

SHARPNESS_BAND = (0.1, 0.2)
"""Cycles/mm: periods of 5 to 10 mm, the scale of gyri and sulci, which a blur takes first."""

Array = NDArray[np.floating]


def inside(mask: NDArray[np.bool_], *volumes: Array) -> list[Array]:
    """Values of each volume in the mask, (N,) float64.

    Raises
    ------
    ValueError
        If shapes differ, or the mask is empty.
    """
    if any(v.shape != mask.shape for v in volumes):
        raise ValueError(f"shapes differ: {[v.shape for v in volumes]} and mask {mask.shape}")
    if not mask.any():
        raise ValueError("the mask is empty")
    return [v[mask].astype(np.float64) for v in volumes]


def psnr(x: Array, y: Array, mask: NDArray[np.bool_], data_range: float = DATA_RANGE) -> float:
    """Peak signal-to-noise ratio inside the mask, in dB.

    Parameters
    ----------
    x, y
        (X, Y, Z)
    mask
        (X, Y, Z) boolean.
    data_range
        Fixed range of the modality, so that numbers can be compared between subjects.

    Examples
    --------
    >>> x = np.zeros((2, 2, 2)); round(psnr(x, x + 0.2, np.ones((2, 2, 2), bool)), 6)
    20.0
    """
    a, b = inside(mask, x, y)
    mse = float(np.mean((a - b) ** 2))
    return float("inf") if mse == 0 else 10 * float(np.log10(data_range**2 / mse))


def whole_psnr(x: Array, y: Array, mask: NDArray[np.bool_], data_range: float = DATA_RANGE) -> float:
    """PSNR in dB over the whole volume, with both set to zero outside the mask: air is always right.

    Papers report this one. It is `psnr` less 10 log10 of the brain's share of the volume: a field of view
    with ten times as much air makes the same errors look 10 dB smaller.
    """
    inside(mask, x, y)
    return psnr(np.where(mask, x, 0), np.where(mask, y, 0), np.ones_like(mask), data_range)


def mae(x: Array, y: Array, mask: NDArray[np.bool_]) -> float:
    """Mean absolute error inside the mask, in the units of the volumes."""
    a, b = inside(mask, x, y)
    return float(np.mean(np.abs(a - b)))


def mae_of_rois(x: Array, y: Array, labels: NDArray[np.integer], n_rois: int) -> Array:
    """Mean absolute error in each ROI.

    Parameters
    ----------
    x, y
        (X, Y, Z)
    labels
        (X, Y, Z) number of the ROI, from 1; 0 is in none.

    Returns
    -------
    ndarray
        (n_rois,), NaN where a ROI has no voxel.
    """
    inside(labels > 0, x, y)
    return means_of_rois(np.abs(x - y), labels, n_rois)


def means_of_rois(x: Array, labels: NDArray[np.integer], n_rois: int) -> Array:
    """(n_rois,) mean of a volume in each ROI; arguments and NaN as for `mae_of_rois`."""
    (values,) = inside(labels > 0, x)
    roi = labels[labels > 0] - 1
    count = np.bincount(roi, minlength=n_rois)
    total = np.bincount(roi, values, n_rois)
    return np.divide(total, count, out=np.full(n_rois, np.nan), where=count > 0)


def nmi(
    x: Array, y: Array, mask: NDArray[np.bool_], data_range: float = DATA_RANGE, n_bins: int = 64
) -> float:
    """Normalised mutual information inside the mask: 0 is independent, 1 tells each from the other.

    Mutual information over the mean of the entropies, of values in bins of equal width over
    [0, `data_range`]; those beyond count as the ends. It ignores contrast, even its sign. Two volumes that
    each lie in one bin have 1.
    """
    codes = (np.clip(v * n_bins / data_range, 0, n_bins - 1).astype(int) for v in inside(mask, x, y))
    pairs = np.ravel_multi_index(tuple(codes), (n_bins, n_bins))
    joint = np.bincount(pairs, minlength=n_bins**2).reshape(n_bins, n_bins) / pairs.size

    def entropy(p: Array) -> float:
        return float(-np.sum(p[p > 0] * np.log(p[p > 0])))

    separate = entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))
    return 2 * (1 - entropy(joint) / separate) if separate else 1.0


def ssim(x: Array, y: Array, mask: NDArray[np.bool_], data_range: float = DATA_RANGE) -> float:
    """3D structural similarity (Wang 2004): Gaussian sigma 1.5, window 11, K1 .01, K2 .03.

    Both volumes are set to zero outside the mask; the map is averaged over the mask.
    """
    from scipy.ndimage import gaussian_filter

    inside(mask, x, y)
    a, b = (np.where(mask, v, 0).astype(np.float64) for v in (x, y))

    def blur(v: Array) -> Array:
        smooth: Array = gaussian_filter(v, 1.5, truncate=3.5)
        return smooth

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(similarity[mask].mean())


def sharpness(x: Array, y: Array, mask: NDArray[np.bool_], voxel_mm: float = 2.0) -> float:
    """Power of `x` over that of `y` in `SHARPNESS_BAND`: 1 is as sharp as `y`, less is blurred.

    The radial power spectra are summed over the band. Both volumes lose their mean in the mask and fade to
    nothing over the outermost 5 mm of it, or its edge would be the sharpest thing seen. Noise has power, too:
    above 1 means noisier or crisper than `y`. NaN where nothing of `y` is seen: it is flat, or its mask thin.

    Parameters
    ----------
    x, y
        (X, Y, Z)
    mask
        (X, Y, Z) boolean.
    voxel_mm
        Edge of the cubic voxels.
    """
    from scipy.ndimage import gaussian_filter

    inside(mask, x, y)
    edge = gaussian_filter(mask.astype(np.float64), 3.0 / voxel_mm)  # one half at the surface
    window = np.where(mask, 2 * edge - 1, 0).clip(min=0)
    grid = np.meshgrid(*(np.fft.fftfreq(n, voxel_mm) for n in mask.shape), indexing="ij", sparse=True)
    frequency = np.sqrt(sum(axis**2 for axis in grid))
    band = (frequency >= SHARPNESS_BAND[0]) & (frequency <= SHARPNESS_BAND[1])

    def power(v: Array) -> float:
        spectrum = np.fft.fftn((v - v[mask].mean(dtype=np.float64)) * window)
        return float(np.sum(np.abs(spectrum[band]) ** 2))

    seen = power(y)
    return power(x) / seen if seen > 0 else float("nan")


def coverage(error: Array, sd: Array, mask: NDArray[np.bool_], level: float) -> float:
    """Share of voxels whose error lies in the central normal interval of probability `level`.

    Parameters
    ----------
    error, sd
        (X, Y, Z) error and its predicted standard deviation.
    mask
        (X, Y, Z) boolean.
    level
        In (0, 1).
    """
    e, s = inside(mask, error, sd)
    return float(np.mean(np.abs(e) <= NormalDist().inv_cdf((1 + level) / 2) * s))


def resampled(cluster: NDArray[np.integer], seed: int, n: int) -> Iterator[NDArray[np.int64]]:
    """Rows of `n` bootstrap samples: clusters (anatomies) are drawn first, then members of each.

    Parameters
    ----------
    cluster
        (n_subjects,) which anatomy each subject was made from.

    Returns
    -------
    iterator of ndarray
        Rows, with repetitions; about n_subjects of them.
    """
    return iter(_drawn_rows(tuple(np.asarray(cluster).tolist()), seed, n))


@lru_cache(maxsize=4)  # a table draws the same people for every metric of every method
def _drawn_rows(cluster: tuple[int, ...], seed: int, n: int) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(np.equal(cluster, c)) for c in np.unique(cluster)]

    def members(group: NDArray[np.int64]) -> NDArray[np.int64]:
        return group[generator.integers(len(group), size=len(group))]

    samples = []
    for _ in range(n):
        chosen = generator.integers(len(groups), size=len(groups))
        samples.append(np.concatenate([members(groups[c]) for c in chosen]))
    return samples


def clustered_bootstrap(
    values: Array, cluster: NDArray[np.integer], seed: int = 0, n: int = 2000
) -> tuple[float, float]:
    """95 % confidence interval of the mean, of samples as `resampled` draws them.

    Parameters
    ----------
    values
        (n_subjects,)
    """
    means = [np.asarray(values)[rows].mean() for rows in resampled(cluster, seed, n)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
