"""What a training is told and what it tells, without any training."""

from __future__ import annotations

import copy
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pds_bids.app import trainingdata
from pds_bids.app.bank import PairStream
from pds_bids.app.presets import (
    load_preset,
    microstructure_config,
    model_config,
    require_data_table,
    training_config,
)
from pds_bids.app.progress import Bar, monitors, tensorboard_writer
from pds_bids.app.training import state_file
from pds_bids.app.trainingdata import SimulatedData, made_once
from pds_bids.app.trainingorder import Order, plan
from pds_bids.core.errors import UsageError
from pds_bids.models.microstructure import MrConfig
from pds_bids.training.data import PairBank
from pds_bids.training.distributed import Team
from pds_bids.training.monitor import Report
from pds_bids.training.recipe import TrainingConfig


@pytest.mark.parametrize(("preset", "weight"), [("base", 0.3), ("tiny", 0.1)])
def test_bundled_presets_look_at_slabs(preset: str, weight: float) -> None:
    assert microstructure_config(load_preset(preset)["training"]["mr"]) == MrConfig("slabs", "gabor", weight)


def test_without_the_table_the_microstructure_loss_is_off() -> None:
    assert microstructure_config({}).projection == "off"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"projections": "slabs"}, r"\[training\.mr\].*'projections'"),
        ({"projection": "sideways"}, "no 'sideways'"),
        ({"projection": "mean", "features": "none.safetensors"}, r"none\.safetensors: not the weights"),
    ],
)
def test_a_table_that_cannot_be_is_met_at_once(table: dict[str, str], fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        microstructure_config(table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["base", "tiny"])
def test_bundled_presets_are_trainings(preset: str) -> None:
    config = training_config(load_preset(preset)["training"])
    assert config.refiner.draws == 0.25
    assert config.mr.projection == "slabs"


STAGES = {"denoiser": {"steps": 3}, "refiner": {"share": 0.5}}


def test_a_table_becomes_a_configuration() -> None:
    config = training_config({**STAGES, "bf16": False, "warmup_steps": 7})
    assert (config.denoiser.steps, config.refiner.share) == (3, 0.5)
    assert replace(config, bf16=True, warmup_steps=100) == replace(
        TrainingConfig(), denoiser=config.denoiser, refiner=config.refiner
    )


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"denoiser": {"steps": 3}}, "no table 'refiner'"),
        ({**STAGES, "refiner": {"steps": 1, "colour": 2}}, "'colour'"),
        ({**STAGES, "colour": 2}, "'colour'"),
        ({**STAGES, "refiner": {"steps": 1, "share": 0.5}}, "either share"),
        ({**STAGES, "refiner": {"steps": 0}}, "steps = 0"),
        ({**STAGES, "refiner": {"share": 0}}, "share = 0"),
        ({**STAGES, "refiner": {"steps": 1, "batch_size": 0}}, "batch_size = 0"),
        ({**STAGES, "refiner": {"steps": 1, "accumulate": 1.5}}, "accumulate = 1.5"),
        ({**STAGES, "refiner": {"steps": 1, "learning_rate": "1e-3"}}, "'str'"),
        ({**STAGES, "denoiser": {"steps": 1, "coarse": 0.7, "regression": 0.7}}, "regression = 1.4"),
        ({"denoiser": {"share": 0.7}, "refiner": {"share": 0.7}}, "add up to 1.4"),
        ({**STAGES, "warmup_steps": 0}, "warmup_steps = 0"),
        ({**STAGES, "ema": 1.5}, "ema = 1.5"),
    ],
)
def test_a_training_that_cannot_be_is_met_at_once(table: dict, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        training_config(table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["base", "tiny", "paper"])
def test_bundled_presets_are_whole(preset: str) -> None:
    tables = load_preset(preset)
    training_config(tables["training"])
    assert model_config(tables["model"]).denoiser.channels == tuple(tables["model"]["denoiser"]["channels"])
    require_data_table(tables["data"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[model]", r"no table \[training\]"),
        ("[training]\n[patern]", "patern is no table"),
        ("data = 3\n[training]", "data is no table"),
    ],
)
def test_a_preset_has_the_tables_of_one(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=fault):
        load_preset(str(path))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"denoser": {}}, "no 'denoser'"),
        ({"denoiser": {"colour": 1}}, "'colour'"),
        ({"denoiser": {"wiring": "loose"}}, "'loose'"),
        ({"denoiser": {"channels": [8, 16], "blocks": [1]}}, "shorter"),
        ({"denoiser": {"channels": [8, 6], "blocks": [1, 1]}}, "multiple of 4"),
    ],
)
def test_networks_that_cannot_be_are_met_at_once(table: dict, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        model_config(table)
    assert "\n" not in str(caught.value)


PAIRS = {"pairs_per_anatomy": 1, "calibration_pairs_per_anatomy": 1}


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "pairs_per_anatomy = None"),
        ({**PAIRS, "pairs_per_anatomy": 0}, "pairs_per_anatomy = 0"),
        ({**PAIRS, "per_heads": 2}, "no 'per_heads'"),
        ({**PAIRS, "people": "yes"}, "people = 'yes'"),
    ],
)
def test_pairs_that_cannot_be_simulated_are_met_at_once(table: dict, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        require_data_table(table)


def test_two_checkpoints_never_share_what_lies_beside_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine-0\.5: must end in \.safetensors"):
        plan(Order("tiny", tmp_path, tmp_path / "mine-0.5"), 1)


ABOUT = {
    "seed": 0,
    "minutes": 5.0,
    "preset": {"training": {"ema": 0.9, "refiner": {"steps": 3, "accumulate": 1}}},
}


def test_what_has_no_part_in_the_result_may_change_before_a_rerun(tmp_path: Path) -> None:
    other = copy.deepcopy(ABOUT)
    other["preset"]["training"]["refiner"] |= {"accumulate": 4, "checkpointing": True}
    later = {**ABOUT, "minutes": 9.0}

    def recipe(about: dict, timed: bool) -> dict:
        return dict(state_file(tmp_path / "m.safetensors", about, timed=timed).recipe)

    assert recipe(ABOUT, True) == recipe(other, True) != recipe(later, True)
    assert recipe(ABOUT, False) == recipe(later, False)
    assert recipe(ABOUT, True) != recipe({**ABOUT, "seed": 1}, True)
    assert other["preset"]["training"]["refiner"]["accumulate"] == 4
    assert state_file(tmp_path / "m.safetensors", ABOUT, timed=True).path.name == "m.state.safetensors"


def test_data_are_made_once_and_never_half(tmp_path: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").touch()
        if len(calls) == 1:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        made_once(tmp_path / "x" / "bank", Team(), make)
    assert not (tmp_path / "x" / "bank").exists()
    for _ in range(2):
        assert made_once(tmp_path / "x" / "bank", Team(), make) == tmp_path / "x" / "bank"

    assert len(calls) == 2
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["bank"]


@pytest.mark.parametrize(
    ("table", "people"),
    [
        ({}, False),
        ({"people": True}, True),
        ({"on_the_fly": True}, True),
        ({"on_the_fly": True, "people": False}, False),
    ],
)
def test_calibration_pairs_are_of_the_same_kind_but_not_the_same_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, bool], people: bool
) -> None:
    calls: list[tuple[int, bool]] = []

    def simulate(_: object, __: int, ___: Path, seed: int, ____: int, *, people: bool, per_head: int) -> None:
        calls.append((seed, people))

    monkeypatch.setattr(trainingdata, "aligned_structures", lambda *_: np.zeros((2, 2, 2), np.uint8))
    monkeypatch.setattr(trainingdata, "simulate_bank", simulate)
    monkeypatch.setattr(PairBank, "load", lambda _: None)
    maps = {name: tmp_path / name for name in ("a", "b", "c")}
    for path in maps.values():
        path.touch()
    parts = {"train": ["a"], "calibration": ["b"], "test": ["c"]}
    data = SimulatedData(maps, parts, {**PAIRS, **table}, 7, tmp_path / "pairs", 1, Team())
    stream = data.training()
    if isinstance(stream, PairStream):
        calls.append((stream.seed, stream.people))
    data.calibration()
    (first, of_training), (second, of_calibration) = calls
    assert first != second
    assert of_training == of_calibration == people


REPORT = Report("denoiser", 3, 0.25, 2.0, 1e-3, pairs=4, seconds=0.5, seconds_left=61.0)


def test_a_bar_for_each_stage() -> None:
    from rich.progress import Progress

    bar = Bar(Progress(disable=True))
    for report in (
        REPORT,
        replace(REPORT, stage="refiner", step=1, progress=0.5),
        replace(REPORT, progress=0.5),
    ):
        bar(report, pytest.fail)

    assert [(t.description, t.completed) for t in bar.progress.tasks] == [("denoiser", 0.5), ("refiner", 0.5)]
    assert bar.progress.tasks[0].fields == {"step": 3, "loss": "2.0000", "speed": "8.00", "left": "0:01:01"}


def test_a_log_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with monitors(None, leads=True) as (monitor,):
        monitor(replace(REPORT, step=1), pytest.fail)
    assert re.fullmatch(r"denoiser: step 1, 25\.0%.*left\n", capsys.readouterr().out)


def test_only_one_process_reports() -> None:
    with monitors(None, leads=False) as nobody:
        assert nobody == []


def test_without_tensorboard_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'pds-bids\[train\]'"):
        tensorboard_writer(tmp_path)


def test_tensorboard_is_written_to_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Writer:
        def __init__(self, folder: Path) -> None:
            calls.append(folder)

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            calls.append(tag)

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setattr("pds_bids.app.progress.tensorboard_writer", Writer)
    with monitors(tmp_path, leads=True) as (_, board):
        board(REPORT, pytest.fail)
    assert calls == [
        tmp_path,
        "denoiser/loss",
        "denoiser/learning rate",
        "denoiser/pairs per second",
        "closed",
    ]
