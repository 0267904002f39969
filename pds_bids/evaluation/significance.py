"""Is one method better than others on the same subjects? Paired tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pds_bids.evaluation.metrics import Array


class SignedRank(NamedTuple):
    """A two-sided Wilcoxon signed-rank test, one of a family.

    Attributes
    ----------
    statistic
        The smaller of the rank sums of positive and of negative differences.
    p
        As if it were the only test.
    p_holm
        Corrected for the family.
    """

    statistic: float
    p: float
    p_holm: float


def signed_rank(differences: Sequence[Array]) -> list[SignedRank]:
    """Wilcoxon's test of each comparison in a family, with Holm's correction.

    Subjects count as independent: where several come from one anatomy, the p are too small.

    Parameters
    ----------
    differences
        Of each comparison the differences by subject, (n_subjects,); NaN is a subject without. Where none is
        left, or all are 0, p is 1.
    """
    tests = [_wilcoxon(np.asarray(values, np.float64)) for values in differences]
    corrected = holm(np.array([p for _, p in tests]))
    return [SignedRank(*test, float(p)) for test, p in zip(tests, corrected, strict=True)]


def _wilcoxon(values: Array) -> tuple[float, float]:
    from scipy.stats import wilcoxon

    known = values[~np.isnan(values)]
    if not known.any():
        return 0.0, 1.0
    result = wilcoxon(known)
    return float(result.statistic), float(result.pvalue)


def holm(p: Array) -> Array:
    """Corrected p-values: each at most the level keeps the chance of any false alarm at most the level.

    The smallest of M times M, the next times M - 1, never decreasing, at most 1 (Holm 1979, Scand J Stat
    6:65).

    Parameters
    ----------
    p
        (M,)

    Examples
    --------
    >>> holm(np.array([0.04, 0.01, 0.03])).round(3).tolist()
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    corrected = np.empty(len(p))
    corrected[order] = stepped
    return corrected
