"""What a preset says becomes configuration, or an error of one line before anything is simulated."""

from __future__ import annotations

import pytest

from pds_bids.app.training import load_preset, microstructure_config
from pds_bids.core.errors import UsageError
from pds_bids.models.microstructure import MrConfig


@pytest.mark.parametrize("preset", ["base", "tiny"])
def test_bundled_presets_look_at_slabs(preset: str) -> None:
    assert microstructure_config(load_preset(preset)["training"]["mr"]) == MrConfig("slabs", "gabor", 0.1)


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
