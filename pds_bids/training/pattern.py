"""Where disease shows and where the modalities agree, by ROI, from the pairs that train.

An estimate x of n observations is shrunk to x n / (n + k): the posterior mean under a normal prior around
zero whose variance is that of the estimate from k observations. For d, of variance 2 / n with n the harmonic
mean of the group sizes, k = 8 is a prior sd of .5; for rho, of variance 1 / n, one of .35.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.modality import Modality
from pds_bids.core.rois import RoiAtlas
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.pattern import PatternValues
from pds_bids.training.data import GROUPS, Covariate, Pairs, make_batch

Floats = NDArray[np.float64]

PRIOR_N = 8.0
"""k: what the prior counts for, in observations."""

D_LIMIT, RHO_LIMIT = 1.5, 0.9
"""Values are clipped here: no ROI weighs more than 1 + 2 * 1.5 + 0.9 times as much as the rest."""

LEAST_IN_GROUP = 10
"""With fewer, chance gives some ROI a tiny sd and a huge d that no normal prior expects."""


def roi_means(image: Floats, inside: NDArray[np.bool_], labels: NDArray[np.int64], n: int) -> Floats:
    """(R,) mean over the voxels of each ROI that are inside a mask; NaN where none is. All (X, Y, Z)."""
    counts = np.bincount(labels[inside], minlength=n + 1)[1:]
    totals = np.bincount(labels[inside], weights=image[inside], minlength=n + 1)[1:]
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def roi_table(pairs: Pairs, atlas: RoiAtlas, n_pairs: int) -> tuple[Floats, Floats]:
    """ROI means of the targets in relative units, as the loss sees them, and who they are of.

    Parameters
    ----------
    n_pairs
        At most so many, spread evenly over the rows.

    Returns
    -------
    means_NMR
        (n, M, R); NaN where the mask leaves nothing of a ROI.
    covariates
        (n, 4), by `Covariate`.
    """
    labels = atlas.labels(MODEL_GRID)
    means, covariates = [], []
    for row in np.unique(np.linspace(0, len(pairs) - 1, min(n_pairs, len(pairs))).round().astype(int)):
        sample = pairs.get([int(row)])
        of_modality = []
        for target in range(len(Modality)):
            batch = make_batch(sample, [target], None)
            image, inside = batch.images[0, target].numpy() + 1.0, batch.known[0, 0].numpy() > 0
            of_modality.append(roi_means(image, inside, labels, len(atlas)))
        means.append(np.stack(of_modality))
        covariates.append(np.asarray(sample.covariates, float).reshape(-1, len(Covariate))[0])
    return np.stack(means), np.stack(covariates)


def cohens_d(patients: Floats, controls: Floats, prior_n: float = PRIOR_N) -> Floats:
    """Difference of means over the pooled sd, shrunk.

    Parameters
    ----------
    patients, controls
        (n, ...) observations; NaN are left out.

    Returns
    -------
    ndarray
        (...); 0 where a group has fewer than `LEAST_IN_GROUP` observations, or nothing varies.
    """
    (n1, mean1, squares1), (n2, mean2, squares2) = _moments(patients), _moments(controls)
    sd = np.sqrt((squares1 + squares2) / np.maximum(n1 + n2 - 2, 1))
    known = (n1 >= LEAST_IN_GROUP) & (n2 >= LEAST_IN_GROUP) & (sd > 1e-9)
    harmonic = 2 * n1 * n2 / np.maximum(n1 + n2, 1)
    return np.where(known, (mean1 - mean2) / np.where(known, sd, 1), 0.0) * harmonic / (harmonic + prior_n)


def _moments(values: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Number, mean and sum of squared deviations along the first axis, without NaN."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(n, 1)
    return n, mean, np.square(np.where(known, values - mean, 0)).sum(axis=0)


def partial_correlation(x_NR: Floats, y_NR: Floats, nuisance_NC: Floats, prior_n: float = PRIOR_N) -> Floats:
    """(R,) correlation of the columns of two tables given a third, shrunk; 0 where it cannot be told.

    Parameters
    ----------
    nuisance_NC
        (n, C) what is regressed out of both, besides their means.
    """
    design = np.column_stack([np.ones(len(x_NR)), nuisance_NC])
    rho = np.zeros(x_NR.shape[1])
    for roi in range(x_NR.shape[1]):
        both = np.stack([x_NR[:, roi], y_NR[:, roi]], axis=1)
        known = np.isfinite(both).all(axis=1) & np.isfinite(design).all(axis=1)
        fit, _, rank, _ = np.linalg.lstsq(design[known], both[known])
        residual = both[known] - design[known] @ fit
        n = max(int(known.sum()) - int(rank) - 2, 0)  # 1 / n is the variance of Fisher's z
        size = np.sqrt(np.square(residual).sum(axis=0))
        if n > 0 and size.min() > 1e-9:
            rho[roi] = residual[:, 0] @ residual[:, 1] / size.prod() * n / (n + prior_n)
    return rho


def nuisance(covariates: Floats) -> Floats:
    """(n, C) age, sex, and a column for every site but the first; what is known of nobody is left out.

    Parameters
    ----------
    covariates
        (n, 4), by `Covariate`.
    """
    columns = [covariates[:, Covariate.AGE], covariates[:, Covariate.SEX]]
    site = covariates[:, Covariate.SITE]
    columns += [np.where(np.isnan(site), np.nan, site == s) for s in np.unique(site[~np.isnan(site)])[1:]]
    known = [(c - np.nanmean(c)) for c in columns if np.isfinite(c).any()]
    return np.stack(known, axis=1) if known else np.empty((len(covariates), 0))


def estimate_pattern(pairs: Pairs, atlas: RoiAtlas, n_pairs: int) -> PatternValues:
    """Values of every ROI.

    Parameters
    ----------
    pairs
        Those that train, and no others: whatever is in here shapes the loss. Pairs without a diagnosis count
        for rho alone.
    n_pairs
        As for `roi_table`.
    """
    means_NMR, covariates = roi_table(pairs, atlas, n_pairs)
    group = covariates[:, Covariate.GROUP]
    patients, controls = (means_NMR[group == GROUPS.index(name)] for name in ("ad", "nc"))
    bold, dwi = (means_NMR[:, list(Modality).index(m)] for m in (Modality.BOLD, Modality.DWI))
    return PatternValues(
        atlas,
        cohens_d(patients, controls).clip(-D_LIMIT, D_LIMIT),
        partial_correlation(bold, dwi, nuisance(covariates)).clip(-RHO_LIMIT, RHO_LIMIT),
        len(means_NMR),
        len(controls),
        len(patients),
    )
