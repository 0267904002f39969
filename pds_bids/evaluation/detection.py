"""How well a score tells unusual cases from usual ones. Pure functions of arrays; NaN is a case without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.comparison import Interval, interval_of
from pds_bids.evaluation.metrics import Array


def auroc(usual: Array, unusual: Array) -> float:
    """Chance that an unusual case scores above a usual one, ties counting half.

    The area under the receiver operating characteristic (Hanley and McNeil 1982, Radiology 143:29): 0.5 tells
    nothing, 1 everything. NaN without cases of both kinds.

    Parameters
    ----------
    usual, unusual
        (n,) and (m,) scores.

    Examples
    --------
    >>> auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    u, v = (np.asarray(scores)[~np.isnan(scores)] for scores in (usual, unusual))
    if not u.size or not v.size:
        return float("nan")
    return float(np.mean((v[:, None] > u) + 0.5 * (v[:, None] == u)))


def auroc_interval(usual: Array, unusual: Array, cluster: NDArray[np.integer], seed: int) -> Interval | None:
    """`auroc` with its 95 % confidence interval; a subject is resampled with both of its scores.

    Parameters
    ----------
    usual, unusual
        (n_subjects,) scores of each subject as usual and as unusual.
    cluster
        (n_subjects,) which anatomy each was made from: these are resampled first.
    """
    return interval_of(lambda rows: auroc(usual[rows], unusual[rows]), cluster, seed)
