from __future__ import annotations

import numpy as np
import pytest

from pds_bids.evaluation import comparison
from pds_bids.evaluation.comparison import (
    Score,
    compare,
    interval,
    interval_of,
    means_table,
    one_a_subject,
    subjects_table,
)

NAN = float("nan")


@pytest.fixture
def scores() -> list[Score]:
    """Ten anatomies of four subjects, very different from each other; `ours` is always 0.5 dB better."""
    random = np.random.default_rng(0)
    made = []
    for subject in range(40):
        psnr_db = random.normal(25, 4)
        for method, gain, coverage in (("theirs", 0.0, NAN), ("ours", 0.5, 0.9)):
            metrics = {"psnr_db": psnr_db + gain, "sharpness": random.normal(1, 0.1), "coverage_90": coverage}
            made.append(Score("bold", method, subject, subject // 4, metrics))
    return made


def test_one_row_per_direction_and_method(scores):
    other = [Score("dwi", s.method, s.subject, s.anatomy, s.metrics) for s in scores]

    rows = compare(scores + other, "ours", seed=0)

    assert [(row["target"], row["method"], row["n"]) for row in rows] == [
        ("bold", "theirs", 40),
        ("bold", "ours", 40),
        ("dwi", "theirs", 40),
        ("dwi", "ours", 40),
    ]


def test_a_small_gain_shows_though_subjects_differ_by_far_more(scores):
    theirs, ours = compare(scores, "ours", seed=0)

    assert theirs["psnr_db"].high > ours["psnr_db"].low  # the intervals of the means overlap
    assert theirs["main_gain_psnr_db"] == pytest.approx((0.5, 0.5, 0.5))


def test_without_a_difference_the_interval_holds_zero(scores):
    theirs, _ = compare(scores, "ours", seed=0)

    assert theirs["main_gain_sharpness"].low < 0 < theirs["main_gain_sharpness"].high


def test_the_main_method_gains_nothing_over_itself(scores):
    _, ours = compare(scores, "ours", seed=0)

    assert ours["main_gain_psnr_db"] == ours["main_gain_sharpness"] == (0, 0, 0)


def test_a_gain_has_a_p_and_chance_none(scores):
    theirs, ours = compare(scores, "ours", seed=0)

    assert theirs["main_p_psnr_db"] < 1e-6
    assert theirs["main_p_sharpness"] > 0.05
    assert ours["main_p_psnr_db"] is ours["main_p_sharpness"] is None


def test_the_p_is_corrected_for_the_methods_of_its_direction(scores, monkeypatch):
    """Three more rivals as alike as one can be: in their own direction they cost a factor of four."""
    more = [
        Score(target, f"{s.method} {k}", s.subject, s.anatomy, s.metrics)
        for s in scores
        if s.method == "theirs"
        for target in ("bold", "dwi")
        for k in range(3)
    ]
    main = [Score("dwi", "ours", s.subject, s.anatomy, s.metrics) for s in scores if s.method == "ours"]

    monkeypatch.setattr(comparison, "clustered_bootstrap", lambda *_: (0.0, 0.0))  # takes a second a row

    (alone, _), (among, *_) = (compare(s, "ours", seed=0) for s in (scores, scores + more + main))

    assert among["main_p_psnr_db"] == pytest.approx(4 * alone["main_p_psnr_db"])


def test_pairs_belong_together_by_subject_and_not_by_order(scores):
    shuffled = [scores[i] for i in np.random.default_rng(1).permutation(len(scores))]

    gains = {row["method"]: row["main_gain_psnr_db"] for row in compare(shuffled, "ours", seed=0)}

    assert gains["theirs"] == pytest.approx((0.5, 0.5, 0.5))


def test_a_metric_that_no_subject_has_is_none(scores):
    theirs, ours = compare(scores, "ours", seed=0)

    assert theirs["coverage_90"] is None
    assert ours["coverage_90"].mean == pytest.approx(0.9)


def test_a_subject_without_a_value_is_left_out_of_its_mean():
    values = np.array([1.0, NAN, 3.0, 1.0])

    assert interval(values, np.array([0, 0, 1, 2]), seed=0).mean == pytest.approx(5 / 3)


def test_the_table_of_means(scores):
    header, theirs, ours = means_table(compare(scores, "ours", seed=0)).splitlines()

    assert header.split("\t")[:5] == ["target", "method", "n", "psnr_db", "sharpness"]
    assert theirs.split("\t")[5:7] == ["n/a", "0.50 [0.50, 0.50]"]
    assert header.split("\t")[8:] == ["main_p_psnr_db", "main_p_sharpness"]
    assert 0 < float(theirs.split("\t")[8]) < 1e-6
    assert ours.split("\t")[8:] == ["n/a", "n/a"]
    assert ours.split("\t")[5:7] == ["0.900 [0.900, 0.900]", "0.00 [0.00, 0.00]"]


def test_the_table_of_subjects(scores):
    lines = subjects_table(scores[:2]).splitlines()

    assert lines[0] == "target\tmethod\tsubject\tanatomy\tpsnr_db\tsharpness\tcoverage_90"
    assert lines[1].startswith("bold\ttheirs\t0\t0\t")
    assert lines[1].endswith("\tn/a")
    assert lines[2].endswith("\t0.9000")


def test_the_interval_of_a_mean_is_that_of_the_statistic():
    values, anatomy = np.random.default_rng(0).normal(size=12), np.repeat([0, 1, 2], 4)
    of_statistic = interval_of(lambda rows: float(values[rows].mean()), anatomy, seed=3, n=2000)
    assert of_statistic == pytest.approx(interval(values, anatomy, seed=3))


def test_visits_are_averaged_before_anybody_is_counted():
    def visit(subject: str, psnr_db: float, curve: list[float]) -> Score:
        return Score("bold", "ours", subject, 0, {"psnr_db": psnr_db, "crps": NAN}, {"covered": curve})

    twice, once = one_a_subject(
        [visit("a", 20, [0.1, NAN]), visit("a", 24, [0.3, 0.5]), visit("b", 30, [1, 1])]
    )

    assert (twice.subject, twice.metrics["psnr_db"], twice.curves["covered"]) == ("a", 22, [0.2, 0.5])
    assert np.isnan(twice.metrics["crps"])
    assert (once.subject, once.metrics["psnr_db"]) == ("b", 30)
