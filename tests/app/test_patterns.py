"""The `[pattern]` table of a preset: what it may look at, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pds_bids.app import training
from pds_bids.app.patterns import pattern_config, pattern_loss
from pds_bids.app.presets import load_preset
from pds_bids.app.trainingorder import Order
from pds_bids.core.errors import UsageError
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training import loop
from pds_bids.training.data import PairBank, Sample
from pds_bids.training.pattern_loss import PatternConfig, PatternLoss


def sample_of(seed: int) -> Sample:
    """Noise around one, of somebody."""
    random = np.random.default_rng(seed)
    images = random.uniform(0.5, 1.5, (2, 2, *MODEL_GRID.shape)).astype(np.float16)
    half = [n // 2 for n in MODEL_GRID.shape]
    who = np.array([seed % 2 * 2, 60 + seed, seed % 3 == 0, 0], np.float32)
    return Sample(
        images, np.ones((2, *MODEL_GRID.shape), bool), np.zeros((4, *half), np.uint8), images[0, 0], who
    )


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PairBank:
    bank = PairBank.create(tmp_path_factory.mktemp("bank"), 6)
    for row in range(len(bank)):
        bank.put(row, sample_of(row), row)
    return bank


def test_without_a_table_there_is_no_such_loss(bank: PairBank) -> None:
    assert pattern_loss(pattern_config({}), bank, 0) is None
    assert pattern_loss(pattern_config({"mode": "off", "weight": 3.0}), bank, 0) is None


def test_a_table_becomes_a_loss(bank: PairBank, capsys: pytest.CaptureFixture[str]) -> None:
    loss = pattern_loss(pattern_config({"mode": "learned", "weight": 0.25, "n_pairs": 5}), bank, 0)

    assert loss is not None
    assert loss.config == PatternConfig("learned", weight=0.25, n_pairs=5)
    assert loss.weights_MR.shape == (2, 473)
    assert "473 ROIs from 5 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("table", [{"mode": "clever"}, {"mode": "learned", "wait": 1}])
def test_a_table_with_a_mistake_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="pattern"):
        pattern_config(table)


@pytest.mark.parametrize("preset", ["base", "tiny"])
def test_bundled_presets_learn_their_pattern(preset: str) -> None:
    assert pattern_config(load_preset(preset)["pattern"]).mode == "learned"


@dataclass
class Recorded:
    """Pairs that note what is read of them."""

    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return 6

    def get(self, rows: list[int]) -> Sample:
        self.read += rows
        return Sample(*(np.stack(arrays) for arrays in zip(*map(sample_of, rows), strict=True)))


def trap_of_the_pattern(folder: Path, monkeypatch: pytest.MonkeyPatch, banks: dict[str, Recorded]) -> None:
    """When the first step begins, the training subjects have been looked at, and nobody else."""
    for k in range(6):
        (folder / f"seg_{k}.nii.gz").touch()
    data = SimpleNamespace(
        training=lambda: banks["train"], calibration=lambda: banks["calibration"], discard=lambda: None
    )
    monkeypatch.setattr(training, "SimulatedData", lambda *_: data)
    begun: list[tuple[PdsModel, PatternLoss, dict[str, list[int]]]] = []

    def train(model: PdsModel, *rest: Any) -> bool:
        begun.append((model, rest[-1], {part: list(bank.read) for part, bank in banks.items()}))
        return True

    monkeypatch.setattr(loop, "train", train)
    assert training.run(Order("tiny", folder, folder / "out.safetensors", 1, "cpu")) == 0
    ((model, loss, read),) = begun
    assert model.pattern is loss.values
    assert (loss.values.n_pairs, read) == (6, {part: [] for part in banks} | {"train": list(range(6))})


@pytest.fixture
def banks() -> dict[str, Recorded]:
    return {part: Recorded() for part in ("train", "calibration", "test")}


def test_only_training_subjects_shape_the_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banks: dict[str, Recorded]
) -> None:
    trap_of_the_pattern(tmp_path, monkeypatch, banks)


@pytest.mark.parametrize("part", ["calibration", "test"])
def test_a_pattern_of_other_subjects_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banks: dict[str, Recorded], part: str
) -> None:
    def leaky(config: PatternConfig, _: Any, seed: int) -> PatternLoss | None:
        return pattern_loss(config, banks[part], seed)

    monkeypatch.setattr(training, "pattern_loss", leaky)
    with pytest.raises(AssertionError, match=part):
        trap_of_the_pattern(tmp_path, monkeypatch, banks)
