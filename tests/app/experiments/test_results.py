"""What experiments say of made-up measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pds_bids.app.experiments import diagnosis, pattern, sites
from pds_bids.app.experiments.diagnosis import Told
from pds_bids.app.experiments.features import Labelled
from pds_bids.app.experiments.setting import Setting
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.evaluation import diagnosis as statistics

N = 36


@pytest.fixture(autouse=True)
def little_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """One division into folds, and few resamples, take a second."""
    monkeypatch.setattr(statistics, "REPEATS", 1)
    monkeypatch.setattr(statistics, "N_RESAMPLES", 100)


@dataclass
class Nothing:
    """Pairs that nobody looks at."""

    def __len__(self) -> int:
        return N

    def get(self, rows: list[int]):
        raise AssertionError


SUBJECTS = Labelled(
    Nothing(), "made-up", ("nc", "mci", "ad"), np.arange(N) % 3, np.arange(N), np.arange(N) // 12
)


def views(source: float, target: float, synthetic: float) -> dict[str, np.ndarray]:
    """ROI means in which the label shows as clearly as said."""
    signal = np.eye(3, 6)[SUBJECTS.labels]

    def seen(clarity: float, seed: int) -> np.ndarray:
        return clarity * signal + np.random.default_rng(seed).standard_normal((N, 6))

    return {
        "source": seen(source, 1),
        "target": seen(target, 2),
        "synthetic": seen(synthetic, 2),
        "template": np.random.default_rng(3).standard_normal((N, 6)) / 100,
    }


def test_imputation_that_helps_is_said_to_help_and_one_that_does_not_is_not() -> None:
    good = Told.by_arms(views(0.3, 4, 4), Modality.DWI, SUBJECTS, seed=0)
    useless = Told.by_arms(views(3, 0, 0), Modality.DWI, SUBJECTS, seed=0)

    assert "it beats source only" in next(good.findings())
    assert "it does not beat source only" in next(useless.findings()) or "worse" in next(useless.findings())
    rows = {row["arm"]: row for row in good.rows}
    assert len(rows) == 6
    assert rows["source only"]["mcnemar_p"] < 0.05
    assert rows["real + synthetic"]["imputation_gain_accuracy"] == (0, 0, 0)
    matrices = good.chart()["data"]["matrices"]
    assert all(np.sum(matrix) == N for matrix in matrices.values())


def test_modes_without_an_effect_are_said_to_have_none() -> None:
    same = dict.fromkeys(Modality, views(1, 1, 1))
    by_mode = {"learned": [same], "off": [same], "shuffled": [same, same]}
    rows = pattern._rows(by_mode, SUBJECTS, 0)

    assert len(rows) == 6
    assert all("no effect" in sentence for sentence in pattern._findings("Shown", rows))


def test_a_mode_that_spoils_roi_means_is_named() -> None:
    worse = views(1, 1, 1)
    worse["synthetic"] = worse["synthetic"] + 5
    right = dict.fromkeys(Modality, views(1, 1, 1))
    rows = pattern._rows({"learned": [right], "off": [dict.fromkeys(Modality, worse)]}, SUBJECTS, 0)

    first = next(pattern._findings("Shown", rows))
    assert "excludes zero for off" in first
    charts = list(pattern._charts("Shown", rows))
    assert set(charts[0]["data"]["series"]) == {"bold, off", "dwi, off"}


def test_a_site_that_loses_more_than_two_decibels_is_flagged() -> None:
    names = ("here", "there")
    level = np.random.default_rng(0).normal(20, 1, (6, 2))
    at_home = dict.fromkeys(Modality, level)
    away = {m: level - np.array([3.0, 0.0]) for m in Modality}
    by_site = {"none": at_home, "here": at_home, "there": away}
    rows = list(sites._rows("U-Net", by_site, names, np.arange(6) % 3, 0))

    flagged = {(r["adapted_on"], r["tested_at"]) for r in rows if r["flagged"] == "yes"}
    assert flagged == {("there", "here")}
    assert all(r["loss_db"].mean == 0 for r in rows if r["adapted_on"] == r["tested_at"])
    assert "1 of 2 moves" in next(sites._findings("U-Net", rows))
    chart = sites._chart("U-Net", Modality.BOLD, rows, names)
    assert chart["data"]["flagged"] == [[False, False], [False, False], [True, False]]


def test_a_class_of_a_few_is_a_users_error() -> None:
    few = Labelled(Nothing(), "few", ("a", "b"), np.arange(N) // 33, np.arange(N), np.arange(N))
    with pytest.raises(UsageError, match="fewer than 6"):
        Told.by_arms(views(1, 1, 1), Modality.BOLD, few, seed=0)


def test_the_record_ends_in_json_and_maps_are_asked_for() -> None:
    with pytest.raises(UsageError, match=r"must end in \.json"):
        Setting(Path("x.tsv"))
    with pytest.raises(UsageError, match="--label-maps"):
        _ = Setting(Path("x.json")).maps
    assert Setting(Path("a/x.json")).folder == Path("a/x.work")
    assert diagnosis.arms()["source only"].train == "source"
