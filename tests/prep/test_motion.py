import numpy as np
import pytest

from pds_bids.core.config import PrepConfig
from pds_bids.prep.motion import average, evenly_spaced, rms_displacement_mm
from pds_bids.prep.resampling import resample

pytestmark = pytest.mark.slow


def test_evenly_spaced():
    assert evenly_spaced(range(10), 40) == list(range(10))
    chosen = evenly_spaced(range(5, 305), 40)
    assert len(chosen) == 40
    assert (chosen[0], chosen[-1]) == (5, 304)
    assert set(np.diff(chosen)) <= {7, 8}


def test_displacement_of_a_shift_and_of_a_turn():
    shift = np.eye(4)
    shift[:3, 3] = (3.0, 0.0, 4.0)
    assert rms_displacement_mm(shift, np.zeros(3)) == pytest.approx(5.0)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.02), -np.sin(0.02)], [np.sin(0.02), np.cos(0.02)]]
    # Of a ball turned about an axis through its centre: sqrt(2/5) R times the angle.
    assert rms_displacement_mm(turn, np.zeros(3)) == pytest.approx(np.sqrt(0.4) * 80 * 0.02, rel=1e-3)


def test_motion_is_undone(head):
    angle = np.deg2rad(2.0)
    moves = []
    for sign in (0, 0, 1, -1):
        move = np.eye(4)
        move[:2, :2] = [
            [np.cos(sign * angle), -np.sin(sign * angle)],
            [np.sin(sign * angle), np.cos(sign * angle)],
        ]
        move[2, 3] = 2.0 * sign
        moves.append(move)
    volumes = [resample(head, head.grid, move, "bspline", space="native") for move in moves]
    corrected = average(volumes, PrepConfig())
    brain = head.data > 300
    undone = [
        resample(volume, head.grid, np.linalg.inv(move), "bspline", space="native").data
        for volume, move in zip(volumes, moves, strict=True)
    ]

    def error(mean):
        return np.abs(mean - head.data)[brain].mean()

    # Interpolating twice costs something even when the motion is known.
    assert error(corrected.mean.data) < 1.15 * error(np.mean(undone, axis=0))
    assert error(corrected.mean.data) < 0.8 * error(np.mean([volume.data for volume in volumes], axis=0))
    for found, move in zip(corrected.displacement_mm[2:], moves[2:], strict=True):
        assert found == pytest.approx(rms_displacement_mm(move, np.zeros(3)), abs=1.0)


def test_the_same_twice_bit_for_bit(head):
    shift = np.eye(4)
    shift[0, 3] = 1.0
    volumes = [head, resample(head, head.grid, shift, space="native"), head]
    first, second = average(volumes, PrepConfig(seed=1)), average(volumes, PrepConfig(seed=1))
    np.testing.assert_array_equal(first.mean.data, second.mean.data)
