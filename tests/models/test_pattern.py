from __future__ import annotations

import json

import numpy as np
import pytest

from pds_bids.core.errors import UsageError
from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.checkpoint import load_checkpoint, write_checkpoint
from pds_bids.models.pattern import CONTEXT_GROUPS, N_PLACES, PatternValues

GROUPS = (RoiGroup.LIMBIC, RoiGroup.VENTRICULAR, RoiGroup.OTHER)


@pytest.fixture
def values() -> PatternValues:
    random = np.random.default_rng(0)
    atlas = RoiAtlas(("a b", "c", "d"), random.uniform(-60, 60, (3, 3)), np.array([5.0, 5, 4]), GROUPS)
    return PatternValues(atlas, random.normal(size=(2, 3)), random.uniform(-1, 1, 3), 50, 20, 30)


def assert_same(read: PatternValues, expected: PatternValues) -> None:
    assert read.atlas.names == expected.atlas.names
    assert read.atlas.groups == expected.atlas.groups
    assert (read.n_pairs, read.n_controls, read.n_patients) == (50, 20, 30)
    np.testing.assert_allclose(read.atlas.centres_mm, expected.atlas.centres_mm, atol=1e-4)
    np.testing.assert_array_equal(read.atlas.radii_mm, expected.atlas.radii_mm)
    np.testing.assert_allclose(read.d_MR, expected.d_MR, atol=1e-4)
    np.testing.assert_allclose(read.rho_R, expected.rho_R, atol=1e-4)


def test_a_checkpoint_gives_back_the_pattern_it_was_trained_with(model, values, tmp_path):
    path = tmp_path / "model.safetensors"
    model.know(values)
    write_checkpoint(path, model, {})

    read = load_checkpoint(str(path)).model.pattern

    assert read is not None
    assert_same(read, values)


def test_a_checkpoint_without_one_says_so(model, tmp_path):
    write_checkpoint(tmp_path / "model.safetensors", model, {})

    assert load_checkpoint(str(tmp_path / "model.safetensors")).model.pattern is None


@pytest.mark.parametrize(
    "damage",
    [
        {"d": [[0.0]]},
        {"radii_mm": [1.0]},
        {"centres_mm": [[0, 0]] * 3},
        {"rho": []},
        {"groups": ["nowhere"] * 3},
    ],
)
def test_numbers_that_do_not_belong_to_the_rois_are_a_damaged_checkpoint(model, values, tmp_path, damage):
    path = tmp_path / "model.safetensors"
    text = json.dumps(json.loads(values.to_json()) | damage)

    class Damaged(PatternValues):
        def to_json(self) -> str:
            return text

    model.know(Damaged(**vars(values)))
    write_checkpoint(path, model, {})

    with pytest.raises(UsageError, match="damaged checkpoint"):
        load_checkpoint(str(path))


def test_places_are_what_is_known_of_each_roi(values):
    labels = values.atlas.labels(MODEL_GRID)

    places = values.places()

    assert places.shape == (N_PLACES, *MODEL_GRID.shape)
    for roi in range(3):
        known = [*np.abs(values.d_MR[:, roi]), values.rho_R[roi], *(GROUPS[roi] is g for g in CONTEXT_GROUPS)]
        np.testing.assert_allclose(
            places[:, labels == roi + 1].T, [known] * (labels == roi + 1).sum(), rtol=1e-6
        )
    assert not places[:, labels == 0].any()
