"""`pds-model experiment`: each command hands its options to one workflow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import pds_bids.app.experiments
from pds_bids.app.experiments import diagnosis, pattern, sites, temporal
from pds_bids.app.experiments.setting import Setting

PLANS = {"diagnosis": diagnosis.Plan, "pattern": pattern.Plan, "sites": sites.Plan, "temporal": temporal.Plan}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the experiments were run with."""
    calls: list[tuple] = []

    def record(*args: object) -> int:
        calls.append(args)
        return 0

    for name, plan in PLANS.items():
        fake = SimpleNamespace(run=record, Plan=plan)
        monkeypatch.setattr(pds_bids.app.experiments, name, fake)
    return calls


def test_diagnosis(pds_model_command, runs, tmp_path):
    out, maps, work = tmp_path / "d.json", tmp_path, tmp_path / "work"
    shared = ("--out", out, "--label-maps", maps, "--work", work, "--n-subjects", 12, "--seed", 2)

    assert pds_model_command("experiment", "diagnosis", *shared, "--device", "cpu", "--model", "m").code == 0
    cohort = ("--from-derivatives", tmp_path, "--label-column", "dx")
    assert pds_model_command("experiment", "diagnosis", "--out", out, *cohort).code == 0
    assert runs == [
        (diagnosis.Plan(), Setting(out, maps, "m", 12, 2, "cpu", work)),
        (diagnosis.Plan(tmp_path, "dx"), Setting(out, n_subjects=90)),
    ]


def test_temporal_is_of_a_dataset(pds_model_command, runs, tmp_path):
    assert pds_model_command("experiment", "temporal", tmp_path, "--out", tmp_path / "t.json").code == 0
    assert runs == [(temporal.Plan(tmp_path), Setting(tmp_path / "t.json"))]


def test_pattern_and_sites(pds_model_command, runs, tmp_path):
    shared = ("--out", tmp_path / "x.json", "--label-maps", tmp_path)

    assert pds_model_command("experiment", "pattern", *shared, "--steps", 5, "--seeds", 4).code == 0
    assert pds_model_command("experiment", "sites", *shared, "--steps", 6, "--n-fit", 3).code == 0
    assert runs == [
        (pattern.Plan(4, 5), Setting(tmp_path / "x.json", tmp_path)),
        (sites.Plan(6, 3), Setting(tmp_path / "x.json", tmp_path, n_subjects=8)),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ("diagnosis",),
        ("diagnosis", "--out", "x.tsv"),
        ("pattern", "--out", "x.json", "--seeds", 0),
        ("sites", "--out", "x.json", "--steps", 0),
        ("temporal", ".", "--out", "x.json", "--n-subjects", 3),
        ("no-such-experiment",),
    ],
)
def test_usage_errors_end_with_2(pds_model_command, runs, line):
    assert pds_model_command("experiment", *line).code == 2
    assert runs == []
