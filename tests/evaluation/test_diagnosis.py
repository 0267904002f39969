from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from pds_bids.evaluation import diagnosis
from pds_bids.evaluation.diagnosis import (
    Arm,
    balanced_accuracy,
    confusion,
    gain,
    macro_auc,
    mcnemar,
    out_of_fold,
    score,
)

pytestmark = pytest.mark.usefixtures("one_division")

N, CLASSES = 60, 3
LABELS = np.arange(N) % CLASSES
SUBJECTS = np.arange(N)


@pytest.fixture
def one_division(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three that are averaged over."""
    monkeypatch.setattr(diagnosis, "REPEATS", 1)


def noise(seed: int, n: int = N, features: int = 8) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, features))


def informative(seed: int) -> NDArray[np.float64]:
    return noise(seed) + 2.5 * np.eye(CLASSES, 8)[LABELS]


def test_classes_that_differ_are_told_and_noise_is_not() -> None:
    views = {"clear": informative(0), "noise": noise(1), "same, shown again": informative(0)}
    arms = {
        "clear": Arm("clear", "clear"),
        "noise": Arm("noise", "noise"),
        "again": Arm("clear", "same, shown again"),
        "blind": Arm("clear", "noise"),
    }
    told = out_of_fold(views, arms, LABELS, SUBJECTS, seed=0)

    for probability in told.values():
        np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert balanced_accuracy(LABELS, told["clear"]) > 0.85
    assert balanced_accuracy(LABELS, told["noise"]) < 0.55
    assert balanced_accuracy(LABELS, told["blind"]) < 0.55
    np.testing.assert_array_equal(told["clear"], told["again"])


def test_two_visits_of_a_subject_are_never_on_both_sides() -> None:
    """Every subject has features of its own and a random label: whoever meets a visit again knows it."""
    labels, subjects = np.repeat(LABELS, 2), np.repeat(SUBJECTS, 2)
    views = {"own": np.repeat(noise(2, features=200), 2, axis=0)}
    arms = {"own": Arm("own", "own")}

    apart = out_of_fold(views, arms, labels, subjects, seed=0)["own"]
    leaking = out_of_fold(views, arms, labels, np.arange(2 * N), seed=0)["own"]

    assert balanced_accuracy(labels, apart) < 0.5
    assert balanced_accuracy(labels, leaking) > 0.8


def test_a_hole_is_filled_from_training_subjects() -> None:
    views = {"holes": informative(3)}
    views["holes"][::5, 2] = np.nan
    views["holes"][:, 7] = np.nan

    told = out_of_fold(views, {"holes": Arm("holes", "holes")}, LABELS, SUBJECTS, seed=0)

    assert balanced_accuracy(LABELS, told["holes"]) > 0.8


def test_a_class_of_a_few_is_refused() -> None:
    labels = np.r_[np.zeros(20, int), np.ones(5, int)]
    with pytest.raises(ValueError, match="fewer than 6"):
        out_of_fold({"x": noise(4, 25)}, {"x": Arm("x", "x")}, labels, np.arange(25), seed=0)


def test_scores_are_those_of_scikit_learn() -> None:
    probability = np.random.default_rng(5).dirichlet(np.ones(CLASSES), N)

    accuracy = balanced_accuracy_score(LABELS, probability.argmax(axis=1))
    assert balanced_accuracy(LABELS, probability) == pytest.approx(accuracy)
    auc = roc_auc_score(LABELS, probability, multi_class="ovr", average="macro")
    assert macro_auc(LABELS, probability) == pytest.approx(auc)
    assert np.sum(confusion(LABELS, probability)) == N
    assert np.trace(confusion(LABELS, probability)) == (probability.argmax(axis=1) == LABELS).sum()


def test_intervals_hold_the_value_and_a_paired_difference_is_narrow() -> None:
    random = np.random.default_rng(6)
    probability = random.dirichlet(np.ones(CLASSES), N) + 0.4 * np.eye(CLASSES)[LABELS]
    slightly = probability.copy()
    slightly[:3] = np.eye(CLASSES)[LABELS[:3]]
    clusters = SUBJECTS // 2

    mean, low, high = score(balanced_accuracy, LABELS, probability, clusters, 0)
    difference = gain(balanced_accuracy, LABELS, [slightly], [probability], clusters, 0)

    assert low < mean < high
    assert 0 <= difference.mean <= 0.1
    assert difference.high - difference.low < high - low


def test_mcnemar_is_the_sign_test_of_those_told_by_one_way_only() -> None:
    labels = np.zeros(10, int)
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    first, second = np.tile(right, (10, 1)), np.tile(right, (10, 1))
    second[:6] = wrong

    assert mcnemar(labels, first, second) == pytest.approx(2 * 0.5**6)
    assert mcnemar(labels, second, first) == mcnemar(labels, first, second)
    assert mcnemar(labels, first, first) == 1
