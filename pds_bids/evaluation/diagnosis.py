"""Labels told from features of subjects: nested cross-validation, and tests of one way against another.

No subject is ever on both sides of a split, and all that is fitted (filling in, scaling, components, the
classifier and how strongly it is held back) is fitted on training subjects only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.evaluation.comparison import Interval
from pds_bids.evaluation.metrics import Array, resampled

Labels = NDArray[np.integer]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Values of C that the inner loop chooses from."""

VARIANCE_KEPT = 0.95
"""By the components that the classifier sees."""

LEAST_IN_CLASS = 6
"""Subjects that a class needs to be in every fold of every loop."""

N_FOLDS = 5

REPEATS = 3
"""Divisions into folds, over which probabilities are averaged."""

N_RESAMPLES = 1000


class Arm(NamedTuple):
    """Which view of the training subjects is learnt from, and which of the others is tested on."""

    train: str
    test: str


def out_of_fold(
    views: Mapping[str, Array],
    arms: Mapping[str, Arm],
    labels: Labels,
    subjects: Labels,
    seed: int,
) -> dict[str, Array]:
    """Probabilities of classes for every row, by classifiers that never saw its subject.

    Parameters
    ----------
    views
        (n, F) features of the same rows, as seen in different ways; NaN where there is none. Views that
        meet in one arm have the same F.
    arms
        By name. All are tested on the same folds, and those that learn from one view share classifiers.
    labels
        (n,) 0, 1, ... K - 1.
    subjects
        (n,) whose each row is: those of one subject stay together.

    Returns
    -------
    dict
        (n, K) by arm.

    Raises
    ------
    ValueError
        If a class has fewer than `LEAST_IN_CLASS` subjects.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    classes = np.unique(labels)
    if min(len(np.unique(subjects[labels == c])) for c in classes) < LEAST_IN_CLASS:
        raise ValueError(f"a class has fewer than {LEAST_IN_CLASS} subjects")
    probabilities = {name: np.zeros((len(labels), len(classes))) for name in arms}
    for division in np.random.SeedSequence(seed).generate_state(REPEATS).tolist():
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=division)
        for inside, outside in folds.split(labels, labels, subjects):
            fitted = {
                view: _classifier(division).fit(views[view][inside], labels[inside], groups=subjects[inside])
                for view in {arm.train for arm in arms.values()}
            }
            for name, arm in arms.items():
                probabilities[name][outside] += fitted[arm.train].predict_proba(views[arm.test][outside])
    return {name: total / REPEATS for name, total in probabilities.items()}


def _classifier(seed: int) -> Any:
    """Logistic regression on principal components; the inner loop chooses how strongly it is held back."""
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        PCA(VARIANCE_KEPT, svd_solver="full"),
        LogisticRegression(class_weight="balanced", max_iter=2000),
    )
    inner = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    choices = {"logisticregression__C": STRENGTHS}
    return GridSearchCV(pipeline, choices, scoring="neg_log_loss", cv=inner)


Statistic = Callable[[Labels, Array], float]


def balanced_accuracy(labels: Labels, probability_NK: Array) -> float:
    """Mean over classes of the share of their subjects that are told; 1 / K by chance."""
    right = probability_NK.argmax(axis=1) == labels
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))


def macro_auc(labels: Labels, probability_NK: Array) -> float:
    """Mean over classes of the area under the ROC curve of that class against the rest.

    From ranks (Mann and Whitney's U) and not from the curve, for a bootstrap asks for it a thousand times.
    """
    from scipy.stats import rankdata

    member_NK = labels[:, None] == np.arange(probability_NK.shape[1])
    n_K = member_NK.sum(axis=0)
    above_K = (rankdata(probability_NK, axis=0) * member_NK).sum(axis=0) - n_K * (n_K + 1) / 2
    return float(np.mean(above_K / (n_K * (len(labels) - n_K))))


def score(
    statistic: Statistic, labels: Labels, probability_NK: Array, cluster: Labels, seed: int
) -> Interval:
    """A statistic with its 95 % interval; clusters are resampled first, then their members."""
    return _interval(lambda rows: statistic(labels[rows], probability_NK[rows]), labels, cluster, seed)


def gain(
    statistic: Statistic,
    labels: Labels,
    runs: Sequence[Array],
    rivals: Sequence[Array],
    cluster: Labels,
    seed: int,
) -> Interval:
    """How much better one way is than a rival on the same rows, with the interval of the difference.

    Parameters
    ----------
    runs, rivals
        (n, K) probabilities; of several runs of one way, the mean of the statistics counts.
    """

    def mean(told: Sequence[Array], rows: NDArray[np.int64]) -> float:
        return float(np.mean([statistic(labels[rows], probability[rows]) for probability in told]))

    return _interval(lambda rows: mean(runs, rows) - mean(rivals, rows), labels, cluster, seed)


def _interval(
    value: Callable[[NDArray[np.int64]], float], labels: Labels, cluster: Labels, seed: int
) -> Interval:
    """Of the samples in which every class is left."""
    n_classes = len(np.unique(labels))
    samples = resampled(cluster, seed, N_RESAMPLES)
    values = [value(rows) for rows in samples if len(np.unique(labels[rows])) == n_classes]
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(value(np.arange(len(labels))), float(low), float(high))


def mcnemar(labels: Labels, probability_NK: Array, rival_NK: Array) -> float:
    """Two-sided p of the exact McNemar test: where only one of two ways errs, each does equally often.

    Rows count as independent.
    """
    from scipy.stats import binomtest

    right, rival_right = (p.argmax(axis=1) == labels for p in (probability_NK, rival_NK))
    won, lost = int(np.sum(right & ~rival_right)), int(np.sum(rival_right & ~right))
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def confusion(labels: Labels, probability_NK: Array) -> list[list[int]]:
    """Counts by true class (rows) and told class."""
    from sklearn.metrics import confusion_matrix

    told = probability_NK.argmax(axis=1)
    counts: list[list[int]] = confusion_matrix(labels, told, labels=range(probability_NK.shape[1])).tolist()
    return counts
