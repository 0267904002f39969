from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pds_bids.app.experiments import sites
from pds_bids.app.experiments.finetuning import fine_tuned
from pds_bids.app.experiments.patternmodes import know, pattern_objective, shown
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.training.data import PairBank


def test_a_few_steps_change_the_denoiser_alone_and_are_taken_once(
    checkpoint: Checkpoint, bank: PairBank, tmp_path: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in checkpoint.model.state_dict().items()}
    path = tmp_path / "tuned.safetensors"

    tuned = fine_tuned(checkpoint, path, lambda m: pattern_objective(m, bank, "off", 2, seed=1))
    again = fine_tuned(checkpoint, path, lambda m: pytest.fail("it is there"))

    assert tuned.sha256 == again.sha256
    assert [file.name for file in tmp_path.iterdir()] == ["tuned.safetensors"]
    after = tuned.model.state_dict()
    changed = {n.partition(".")[0] for n, t in before.items() if not torch.equal(t.half(), after[n].half())}
    assert changed == {"denoiser"}
    assert all(torch.equal(t, before[name]) for name, t in checkpoint.model.state_dict().items())
    assert tuned.model.pattern is None  # what was off in training is off in use
    assert not tuned.model.places.any()


def test_a_site_adapts_the_refiner_alone(checkpoint: Checkpoint, bank: PairBank, tmp_path: Path) -> None:
    chosen = sites.Chosen(bank, [1])
    tuned = fine_tuned(checkpoint, tmp_path / "s.safetensors", lambda m: sites._objective(m, chosen, 1, 0))

    before, after = checkpoint.model.state_dict(), tuned.model.state_dict()
    changed = {n.partition(".")[0] for n in after if not torch.equal(before[n].half(), after[n].half())}
    assert changed == {"refiner"}
    np.testing.assert_array_equal(chosen.get([0]).images, bank.get([1]).images)


def test_what_networks_are_shown_in_each_mode(checkpoint: Checkpoint, pattern) -> None:
    def rng() -> np.random.Generator:
        return np.random.default_rng(0)

    assert shown(pattern, "learned", rng()) is pattern
    assert shown(pattern, "off", rng()) is None
    mask = shown(pattern, "mask", rng())
    assert mask is not None
    assert (mask.d_MR == 1).all()
    inverted = shown(pattern, "inverted", rng())
    assert inverted is not None
    assert np.abs(inverted.d_MR[0]).argmin() == np.abs(pattern.d_MR[0]).argmax()

    model = checkpoint.model
    try:
        know(model, mask)
        assert model.places[0].unique().tolist() == [0, 1]
        know(model, None)
        assert not model.places.any()
    finally:
        know(model, pattern)
