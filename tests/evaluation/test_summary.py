from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from pds_bids.evaluation.comparison import Score, compare
from pds_bids.evaluation.summary import TABLES, charts, findings, tables

NAN = float("nan")
METRICS = {name for columns in TABLES.values() for name in columns if not name.startswith("main_")}
GAIN_DB = {"theirs": -1.0, "alike": 0.0, "better": 1.0, "ours": 0.0}
NOMINAL = (0.5, 0.9)


@pytest.fixture
def scores() -> list[Score]:
    """Of three methods against ours: one is worse, one is as good, one is better. Ours alone is unsure."""
    random = np.random.default_rng(0)
    made = []
    for subject in range(20):
        base = random.normal(25, 2)
        for method, gain in GAIN_DB.items():
            metrics = dict.fromkeys(METRICS, NAN) | {"sharpness": 1.0}
            metrics["psnr_db"] = base + (0 if method == "ours" else gain + random.normal(0, 0.2))
            curves = {"roi_truth": [1.0, 2.0, NAN], "roi_predicted": [1.1, 1.8, NAN]}
            if method == "ours":
                metrics |= {name: 0.7 for name in METRICS if name.startswith("coverage")}
                curves |= {"covered": [0.4, 0.7], "by_sd": [1.0, 0.8], "by_error": [1.0, 0.5]}
            group = ("nc", "ad")[subject % 2]
            made.append(Score("bold", method, subject, subject, metrics, curves, group))
    return made


def test_findings_say_better_worse_none_and_what_is_not_covered(scores):
    said = findings(compare(scores, "ours", 0), "ours")

    assert len(said) == len(GAIN_DB)
    expected = (
        "ours is better than theirs, +",
        "no difference between ours and alike",
        "ours is worse than better, -",
        "holds 70.0 % of the errors",
    )
    for sentence, words in zip(said, expected, strict=True):
        assert words in sentence
        assert "(n = 20)" in sentence
    assert ", not what it promises" in said[-1]


def test_tables_leave_out_rows_that_say_nothing(scores):
    made = tables(compare(scores, "ours", 0), scores, 0)

    assert [row["method"] for row in made["How close"]] == list(GAIN_DB)
    assert [row["method"] for row in made["Coverage of the uncertainty"]] == ["ours"]
    assert "What the uncertainty is worth" not in made
    by_group = made["By diagnosis"]
    assert [(row["group"], row["n"], row["coverage_80"].mean) for row in by_group] == [
        ("ad", 10, pytest.approx(0.7)),
        ("nc", 10, pytest.approx(0.7)),
    ]


def test_without_diagnoses_there_is_no_table_of_them(scores):
    nobody = [Score(**{**asdict(score), "group": "unknown"}) for score in scores]

    assert "By diagnosis" not in tables(compare(scores, "ours", 0), nobody, 0)


def test_charts_say_what_the_scores_do_in_plain_json(scores):
    made = charts(compare(scores, "ours", 0), scores, "ours", NOMINAL)

    assert [chart["kind"] for chart in made] == ["forest", "bland-altman", "calibration", "sparsification"]
    forest, agreement, calibration, sparse = (chart["data"] for chart in made)
    assert list(forest["series"]) == ["theirs", "alike", "better"]
    assert agreement["series"]["ours"] == {"mean": [1.05, 1.9], "difference": [0.1, -0.2]}
    assert calibration == {"nominal": [0.5, 0.9], "series": {"ours": [0.4, 0.7]}}
    assert (sparse["series"], sparse["oracle"]) == ({"ours": [1.0, 0.8]}, {"ours": [1.0, 0.5]})
    json.dumps(made, allow_nan=False)
