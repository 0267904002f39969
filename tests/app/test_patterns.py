"""The `[pattern]` table of a preset: what it may look at, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pds_bids.app import training, trainingdata
from pds_bids.app.patterns import pattern_config, pattern_loss
from pds_bids.core.errors import UsageError
from pds_bids.core.volume import MODEL_GRID
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
    assert pattern_config(training.load_preset(preset)["pattern"]).mode == "learned"


@dataclass
class Recorded:
    """Pairs that note what is read of them."""

    anatomies: list[int]
    people: bool
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return 2 * len(self.anatomies)

    def get(self, rows: list[int]) -> Sample:
        self.read += rows
        drawn = [sample_of(100 * self.anatomies[row // 2] + row) for row in rows]
        return Sample(*(np.stack(arrays) for arrays in zip(*drawn, strict=True)))


def test_only_training_subjects_shape_the_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leak trap: when the loss is made, nobody else has been looked at."""
    for k in range(6):
        (tmp_path / f"seg_{k}.nii.gz").touch()
    (tmp_path / "mine.toml").write_text(
        (Path(training.__file__).parents[1] / "presets" / "tiny.toml").read_text() + "people = true\n"
    )
    banks: dict[str, Recorded] = {}
    trained: list[tuple[PatternLoss, dict[str, list[int]]]] = []
    written = []

    def simulate(
        members: dict[int, Any], _n: int, folder: Path, *_: Any, people: bool, per_head: int
    ) -> None:
        banks[part_of(folder)] = Recorded(list(members), people)

    def part_of(folder: Path) -> str:
        return folder.name.lstrip(".").partition("-")[0]

    def train(_model: Any, _pairs: Any, *rest: Any) -> bool:
        trained.append((rest[-1], {part: list(bank.read) for part, bank in banks.items()}))
        rest[-2]()
        return True

    monkeypatch.setattr(trainingdata, "aligned_structures", lambda path, _: path.name)
    monkeypatch.setattr(trainingdata, "simulate_bank", simulate)
    monkeypatch.setattr(PairBank, "load", lambda folder: banks[part_of(folder)])
    monkeypatch.setattr(training, "finish", lambda *args: written.append(args[0].pattern))
    monkeypatch.setattr(loop, "train", train)

    order = training.Order(str(tmp_path / "mine.toml"), tmp_path, tmp_path / "out.safetensors", device="cpu")
    assert training.run(order) == 0

    ((loss, read),) = trained
    parts = training.split([f"seg_{k}.nii.gz" for k in range(6)])
    assert {part: [f"seg_{k}.nii.gz" for k in b.anatomies] for part, b in banks.items()} == {
        part: parts[part] for part in ("train", "calibration")
    }
    assert read == {"train": list(range(2 * len(parts["train"]))), "calibration": []}
    assert all(bank.people for bank in banks.values())
    assert loss.values.n_pairs == 2 * len(parts["train"])
    assert written == [loss.values]
