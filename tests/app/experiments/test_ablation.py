"""An ablation trains each recipe once, scores every row on the same people, and repeats nothing."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from pds_bids.app.experiments import ablation
from pds_bids.app.experiments.ablation import Plan, pace_of, run
from pds_bids.app.experiments.setting import Setting
from pds_bids.app.experiments.sites import Chosen
from pds_bids.app.panel import Panel
from pds_bids.app.scoring import Subjects
from pds_bids.app.trainingorder import Order
from pds_bids.models.checkpoint import Checkpoint, write_checkpoint
from pds_bids.training.data import PairBank
from pds_bids.training.monitor import Report

STUDY = """
preset = "tiny"
[common.training.denoiser]
steps = 2
[common.training.refiner]
steps = 1
[[row]]
name = "all of it"
[[row]]
name = "PDM alone"
kind = "estimate"
[[row]]
name = "no pattern"
change.pattern.mode = "off"
"""


@pytest.fixture
def trained(checkpoint: Checkpoint, bank: PairBank, monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """What was trained, by something that takes no time; people are those of the bank."""
    orders = []

    def train(order: Order) -> int:
        if not order.out.is_file():
            orders.append(order)
            model = deepcopy(checkpoint.model)
            model.templates.fill_(len(orders))  # or both would be one file
            write_checkpoint(order.out, model, {})
            for stage, seconds in (("denoiser", 3.0), ("denoiser", 2.0), ("refiner", 1.0)):
                assert order.watcher is not None
                order.watcher(Report(stage, 1, 1.0, 0.0, 1.0, 1, seconds, 0.0), lambda: torch.zeros(1))
        return 0

    people = Subjects(Chosen(bank, [0]), [0], [0])
    monkeypatch.setattr(ablation.training, "run", train)
    monkeypatch.setattr(ablation, "simulated", lambda *_: Panel("people", people, lambda: bank, {}))
    return orders


@pytest.mark.slow
def test_rows_share_what_they_have_in_common_and_a_rerun_repeats_nothing(
    trained: list[Order], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "mine.toml"
    study.write_text(STUDY)
    setting = Setting(tmp_path / "found.json", tmp_path, n_subjects=1, device="cpu", work=tmp_path / "work")

    assert run(Plan(str(study)), setting) == 0

    assert [order.out.name.rpartition("-")[0] for order in trained] == ["all-of-it", "no-pattern"]
    assert {order.shared_pairs for order in trained} == {tmp_path / "work" / "pairs"}
    about = json.loads(setting.out.read_text(), parse_constant=pytest.fail)
    assert [row["method"] for row in about["tables"]["How close"]] == [
        "all of it",
        "PDM alone",
        "no pattern",
    ] * 2
    costs = {row["method"]: row for row in about["tables"]["What it costs"]}
    assert (
        costs["PDM alone"]["checkpoint"]
        == costs["all of it"]["checkpoint"]
        != costs["no pattern"]["checkpoint"]
    )
    assert (costs["all of it"]["denoiser, training (s)"], costs["all of it"]["refiner, training (s)"]) == (
        5,
        1,
    )
    assert len(about["findings"]) == 6
    assert len(about["weights_sha256"]) == 2

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert run(Plan(str(study)), setting) == 0
    assert len(trained) == 2
    assert files == {path: path.stat().st_mtime_ns for path in files}
    capsys.readouterr()


def test_seconds_of_several_runs_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.seconds.json"
    for seconds in (2.0, 3.5):
        pace = ablation.Pace(path)
        pace(Report("denoiser", 1, 0.5, 0.0, 1.0, 1, seconds, 0.0), lambda: torch.zeros(1))
        pace.write()

    assert pace_of(path) == {"denoiser": 5.5}
