"""The model card, as `pds-model info` prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pds_bids
from pds_bids.app import modelcard
from pds_bids.models.checkpoint import annotate, file_sha256, write_checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig

CARD = {
    "version": "3.1",
    "training_data": "9 pairs simulated from 2 label maps",
    "intensity": "divided by the median",
    "calibration": {"bold": {"grey matter": 1.25, "CSF": 1.5}, "dwi": {"grey matter": 1.125, "CSF": 2.0}},
    "outlier_limits": {"bold": 1.0625, "dwi": 1.25},
    "split": {"train": ["a", "b"], "calibration": ["c"], "test": ["d"]},
    "preset": {"training": {"denoiser": {"steps": 7}}, "data": {"people": True}},
    "minutes": 28.5,
    "history": ["first this", "then that"],
    "software": {"torch": "2.0"},
    "intended_use": "research only",
}

METRICS = [
    {
        "target": "bold",
        "method": "flat brain",
        "n": 3,
        "psnr_db": [17.5, 16.0, 19.0],
        "coverage_90_csf": None,
    },
    {
        "target": "bold",
        "method": "pds",
        "n": 3,
        "psnr_db": [24.0, 23.0, 25.0],
        "coverage_90_csf": [0.9, 0.8, 1],
    },
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(
        DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=4, attention=False),
        RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4),
    )
    write_checkpoint(tmp_path / "mine.safetensors", PdsModel(config), CARD)
    return tmp_path / "mine.safetensors"


def test_everything_the_card_knows_is_told(path: Path) -> None:
    text = modelcard.text(str(path))

    assert text.startswith("Model card: mine\n================\n")
    for told in (
        f"- SHA-256: {file_sha256(path)}",
        "- Made by: pds-bids 3.1",
        "Licence: Apache-2.0",
        "Intended use: research only.",
        "- Research only, never diagnosis",
        "9 pairs simulated from 2 label maps.",
        "- calibration: c",
        "- minutes: 28.5",
        "- history: first this; then that",
        "- [training.denoiser] steps = 7",
        "- [data] people = True",
        "target  grey matter  CSF",
        "dwi     1.12         2.00",
        "mean fMRI (BOLD)   1.06",
        "mean dMRI (trace)  1.25",
        "- torch 2.0",
    ):
        assert told in text


def test_scores_are_a_table_once_there_are_some(path: Path) -> None:
    assert "`pds-model evaluate` makes them" in modelcard.text(str(path))

    annotate(path, metrics=METRICS)

    lines = modelcard.text(str(path)).splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("target  method"))
    assert lines[at].split() == ["target", "method", "n", "psnr_db", "coverage_90_csf"]
    assert lines[at + 2].split("  ")[-1] == "n/a"
    assert "24.00 [23.00, 25.00]  0.900 [0.800, 1.000]" in lines[at + 3]


def test_the_page_is_restructured_text(path: Path) -> None:
    core = pytest.importorskip("docutils.core")
    annotate(path, metrics=METRICS)

    html = core.publish_string(
        modelcard.text(str(path)), writer="html5", settings_overrides={"halt_level": 2, "report_level": 2}
    )

    assert html.count(b"<table") == 3


def test_a_card_that_says_nothing_can_be_read(path: Path) -> None:
    write_checkpoint(path, PdsModel(ModelConfig(refiner=RefinerConfig(channels=(4, 4), blocks=(1, 1)))), {})

    text = modelcard.text(str(path))

    for told in ("Made by: pds-bids unknown", "Not calibrated.", "nothing warns"):
        assert told in text


WEIGHTS = sorted(Path(pds_bids.__file__).parent.glob("weights/*.safetensors"))


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_the_card_beside_bundled_weights_is_theirs(weights: Path) -> None:
    card = weights.with_suffix(".rst")
    command = f"pds-model info {weights.stem} > pds_bids/weights/{card.name}"

    assert card.read_text(encoding="utf-8") == modelcard.text(weights.stem) + "\n", f"run {command}"
