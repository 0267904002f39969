from __future__ import annotations

import pytest
import torch

from pds_bids.core.errors import TemporaryError, UsageError
from pds_bids.training.ema import Ema
from pds_bids.training.state import Position, StateFile

RECIPE = {"seed": 1, "preset": {"training": {"refiner": {"steps": 10}}}}


@pytest.fixture
def keeper(small, tmp_path) -> StateFile:
    """With a state of a model that has taken one step."""
    model = small.small_model()
    optimiser = torch.optim.AdamW(model.refiner.parameters())
    sum(p.square().sum() for p in model.refiner.parameters()).backward()
    optimiser.step()
    keeper = StateFile(tmp_path / "x.state.safetensors", RECIPE)
    keeper.write(Position("refiner", 3, 1.5), model, Ema(model.refiner), optimiser)
    return keeper


def test_nothing_is_kept_at_first(tmp_path):
    assert StateFile(tmp_path / "x", RECIPE).load() is None


def test_position_and_weights_come_back(keeper, small):
    state, model = keeper.load(), small.small_model()

    state.restore_model(model)

    assert state.position == Position("refiner", 3, 1.5)
    assert not torch.equal(model.refiner.projector[0].weight, small.small_model().refiner.projector[0].weight)
    assert [p.name for p in keeper.path.parent.iterdir()] == [keeper.path.name]


def test_moments_come_back_as_their_parameters_lie(keeper, small):
    network = small.small_model().refiner.to(memory_format=torch.channels_last_3d)
    optimiser, ema = torch.optim.AdamW(network.parameters()), Ema(network)

    keeper.load().restore_stage(network, ema, optimiser)

    assert ema.steps == 3
    for parameter in network.parameters():
        state = optimiser.state[parameter]
        assert state["step"] == 1
        assert state["exp_avg"].stride() == parameter.stride()


def test_complete_is_noted(keeper):
    keeper.mark_complete()

    state = keeper.load()
    assert state.position == Position("refiner", 3, 1.5, complete=True)
    assert any(name.startswith("adam.") for name in state.tensors)


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        ({**RECIPE, "seed": 2}, r"\(seed was 1, is 2\)"),
        (
            {"seed": 1, "preset": {"training": {"refiner": {"steps": 20}}}},
            r"training\.refiner\.steps was 10, is 20",
        ),
        ({"seed": 1}, "steps was 10, is null"),
    ],
)
def test_another_recipe_is_refused_with_what_differs(keeper, recipe, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        StateFile(keeper.path, recipe).load()

    assert "--restart" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_state_is_refused(keeper):
    keeper.path.write_bytes(keeper.path.read_bytes()[:100])

    with pytest.raises(UsageError, match="damaged state"):
        keeper.load()


def test_a_state_that_cannot_be_written_is_an_error_of_one_line(keeper, small, tmp_path):
    (tmp_path / "file").touch()
    nowhere = StateFile(tmp_path / "file" / "x", RECIPE)
    network = small.small_model()

    with pytest.raises(TemporaryError, match="cannot be written"):
        nowhere.write(
            Position("refiner", 0, 0), network, Ema(network), torch.optim.AdamW(network.parameters())
        )
