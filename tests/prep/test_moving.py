from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pds_bids.core.volume import Volume
from pds_bids.prep.moving import moved, moved_at_once

OBLIQUE = Rotation.from_euler("xyz", (20, -10, 5), degrees=True).as_matrix() @ np.diag([2.0, 2.5, 4.0])


def rigid(degrees: tuple[float, ...], shift_mm: tuple[float, ...], centre=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(4, 4) a turn about `centre` in mm, and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = np.array(shift_mm) + centre - matrix[:3, :3] @ centre
    return matrix


def smooth(shape=(40, 36, 20), directions=OBLIQUE) -> Volume:
    """Waves of 8 to 13 voxels on an oblique grid of long voxels."""
    x, y, z = np.indices(shape)
    data = 5 + np.sin(x / 1.3) * np.cos(y / 1.7 + 0.3) + np.sin(z / 2.1 + x / 5)
    affine = np.eye(4)
    affine[:3, :3] = directions
    affine[:3, 3] = -directions @ (np.array(shape) - 1) / 2
    return Volume(data.astype(np.float32), affine)


@pytest.mark.parametrize("directions", [OBLIQUE, np.diag([-2.0, 2.0, 2.0]), OBLIQUE[:, [2, 0, 1]]])
@pytest.mark.parametrize(
    ("degrees", "shift_mm", "off"),
    [((0.2, -0.1, 0.3), (0.3, -0.2, 0.4), 0.002), ((2, 1, -1.5), (1, 2, -1), 0.02)],
)
def test_it_is_what_one_spline_gives(directions, degrees, shift_mm, off):
    volume, matrix = smooth(directions=directions), rigid(degrees, shift_mm)

    ours, expected = moved(volume, matrix).data, moved_at_once(volume, matrix).data

    assert np.sqrt(np.mean((expected - volume.data) ** 2)) > 0.05  # it did move
    assert np.sqrt(np.mean((ours - expected) ** 2)) < off
    assert ours.flags.c_contiguous


@pytest.mark.parametrize("voxels", [0.35, 4.6, 50.0])
def test_its_rim_is_what_one_spline_gives(voxels):
    volume = smooth()
    matrix = rigid((0, 0, 0), tuple(OBLIQUE @ (voxels, -voxels, voxels)))

    np.testing.assert_allclose(moved(volume, matrix).data, moved_at_once(volume, matrix).data, atol=2e-3)


@pytest.mark.parametrize("long", [0, 1, 2])
def test_long_voxels_lose_no_more(long):
    voxel_mm = np.ones(3)
    voxel_mm[long] = 5.0
    shape = tuple(int(n) for n in 100 / voxel_mm)
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -50
    where = np.moveaxis(np.indices(shape), 0, -1) * voxel_mm - 50
    # At most 0.6 of what voxels can hold.
    direction = np.roll([0.6 * np.pi / 5, 0.5 * np.pi, 0.3 * np.pi], long)
    matrix = rigid(tuple(np.roll([0, 4.0, 3.0], long)), (0, 0, 0))

    def wave(places: np.ndarray) -> np.ndarray:
        return 5 + np.sin(places @ direction)

    volume, true = Volume(wave(where).astype(np.float32), affine), wave(where @ matrix[:3, :3])

    inside = tuple(slice(n // 4, -n // 4) for n in shape)
    lost = [
        np.sqrt(np.mean((move(volume, matrix).data - true)[inside] ** 2)) for move in (moved, moved_at_once)
    ]
    assert lost[0] < 1.1 * lost[1]


def test_a_head_moved_there_and_back_has_lost_no_more(head):
    matrix = rigid((1.0, -0.8, 0.5), (0.7, -0.4, 0.9))
    brain = head.data > 300

    ours, theirs = (move(move(head, matrix), np.linalg.inv(matrix)).data for move in (moved, moved_at_once))

    lost = [float(np.abs(data - head.data)[brain].mean()) for data in (ours, theirs)]
    assert 0 < lost[0] < 1.02 * lost[1]


def test_whole_voxels_are_moved_as_they_are():
    volume = smooth(directions=np.diag([2.0, 2.0, 2.0]))

    there = moved(volume, rigid((0, 0, 0), (4.0, -2.0, 6.0)))

    np.testing.assert_allclose(there.data[2:, :-1, 3:], volume.data[:-2, 1:, :-3], atol=1e-4)
    np.testing.assert_allclose(there.data[0, :-1, 3:], volume.data[0, 1:, :-3], atol=1e-4)


def test_what_did_not_move_is_left_alone():
    volume = smooth()

    assert moved(volume, np.eye(4)) is volume


@pytest.mark.parametrize("degrees", [(3, 2, 12), (90, 0, 0), (0, 180, 0), (5, 5, 5)])
def test_far_turns_are_done_at_once(degrees):
    volume, matrix = smooth(), rigid(degrees, (1, 2, 3))

    np.testing.assert_array_equal(moved(volume, matrix).data, moved_at_once(volume, matrix).data)


@pytest.mark.parametrize(("low", "high", "least"), [(0, 100, 0), (-50, 100, -50), (50, 100, 0)])
def test_nothing_overshoots(low, high, least):
    step = smooth().like(np.where(np.indices((40, 36, 20))[0] < 20, low, high).astype(np.float32))

    there = moved(step, rigid((0.5, 0.5, 0.5), (0.7, 0.7, 0.7))).data

    assert there.dtype == np.float32
    assert there.max() == high
    assert there.min() == least if least == low else least < there.min() < low


@pytest.mark.parametrize("shape", [(7, 6, 1), (2, 5, 6), (1, 1, 1), (33, 17, 3)])
def test_thin_volumes_are_moved(shape):
    volume = smooth(shape, np.diag([2.0, 2.0, 2.0]))
    matrix = rigid((0.3, 0.3, 0.3), (0.5, 0.5, 0.5))

    np.testing.assert_allclose(moved(volume, matrix).data, moved_at_once(volume, matrix).data, atol=0.02)
