from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pds_bids.evaluation.misalignment import displaced, distortion, rotation, shift

SHAPE = (20, 24, 22)
VOLUME = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 2)
MASK = np.zeros(SHAPE, bool)
MASK[4:16, 4:20, 4:18] = True


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def test_without_displacement_nothing_changes():
    np.testing.assert_allclose(displaced(VOLUME, np.zeros((3, 1, 1, 1))), VOLUME, atol=1e-9)


def test_two_voxels_are_four_millimetres():
    moved = displaced(VOLUME, np.array([4.0, 0, -2]).reshape(3, 1, 1, 1))
    np.testing.assert_allclose(moved[:-2, :, 1:], VOLUME[2:, :, :-1], atol=1e-9)


@pytest.mark.parametrize("mm", [0.5, 2.0])
def test_a_shift_is_as_long_as_it_says(mm, random):
    assert np.linalg.norm(shift(mm, random)) == pytest.approx(mm)


def test_a_rotation_leaves_its_middle_and_moves_the_rim_by_its_angle(random):
    field = rotation(2, (21, 21, 21), random)
    away = 2 * (np.indices((21, 21, 21)) - 10)
    np.testing.assert_allclose(field[:, 10, 10, 10], 0, atol=1e-12)
    lengths = np.linalg.norm(away + field, axis=0)
    np.testing.assert_allclose(lengths, np.linalg.norm(away, axis=0), atol=1e-9)
    # the furthest from the axis moves by a chord of 2 degrees
    radius = np.linalg.norm(field, axis=0).max() / (2 * np.sin(np.deg2rad(1)))
    assert 20 < radius < 20 * 3**0.5


@pytest.mark.parametrize("rms", [0.5, 1.0, 2.0])
def test_a_distortion_is_as_large_as_it_says_along_the_phase_axis_alone(rms, random):
    field = distortion(rms, MASK, random)
    assert np.sqrt(np.mean(field[1][MASK] ** 2)) == pytest.approx(rms)
    assert not field[[0, 2]].any()


def test_values_stay_in_their_range(random):
    moved = displaced(VOLUME, distortion(2, MASK, random))
    assert VOLUME.min() <= moved.min() <= moved.max() <= VOLUME.max()
