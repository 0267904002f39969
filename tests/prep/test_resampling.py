import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import Grid, Volume
from pds_bids.prep.conversion import grid_image, to_ants, write_matrix
from pds_bids.prep.resampling import coarsen, field_of_view, isotropic_grid, resample


def ball(shape=(24, 26, 22), voxel_mm=3.0) -> Volume:
    affine = np.diag([-voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = (34.0, -38.0, -30.0)
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    distance = (x - 12) ** 2 + (y - 13) ** 2 + (z - 10) ** 2
    return Volume(np.exp(-distance / 40).astype(np.float32), affine)


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))
def test_whole_voxel_shifts_are_exact(i, j, k):
    volume = ball()
    shift = np.eye(4)
    shift[:3, 3] = volume.affine[:3, :3] @ (i, j, k)
    moved = resample(volume, volume.grid, shift, space="native")
    came_from = volume.data[8 - i : 16 - i, 8 - j : 16 - j, 8 - k : 14 - k]
    np.testing.assert_allclose(moved.data[8:16, 8:16, 8:14], came_from, atol=1e-5)


@pytest.mark.parametrize(("ours", "theirs"), [("linear", "linear"), ("nearest", "nearestNeighbor")])
def test_agrees_with_ants(tmp_path, ours, theirs):
    import ants

    volume = ball()
    matrix = np.eye(4)
    matrix[:3, :3] += np.random.default_rng(0).normal(0, 0.05, (3, 3))
    matrix[:3, 3] = (2.2, -3.1, 1.7)
    target = isotropic_grid(volume.grid, 2.0)
    file = write_matrix(np.linalg.inv(matrix), tmp_path / "m.mat")
    oracle = ants.apply_transforms(grid_image(target), to_ants(volume), [str(file)], theirs).numpy()
    moved = resample(volume, target, matrix, ours, space="native").data
    # The two round differently exactly between two voxels, and on the rim of the field of view.
    assert np.mean(np.abs(moved - oracle) > 1e-4) < 0.002


def test_splines_do_not_overshoot():
    volume = ball()
    step = volume.like(volume.data > 0.5)
    moved = resample(step, isotropic_grid(step.grid, 1.7), np.eye(4), "bspline", space="native")
    assert moved.data.min() >= 0
    assert moved.data.max() <= 1


def test_field_of_view_ends_half_a_voxel_beyond_the_outermost_centres():
    slab = Grid((4, 4, 1), np.diag([2.0, 2.0, 6.0, 1.0]))
    fine = Grid((4, 4, 9), np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, -4], [0, 0, 0, 1]]))
    inside = field_of_view(slab, fine, np.eye(4))
    np.testing.assert_array_equal(inside[0, 0], [False, True, True, True, True, True, True, True, False])


def test_coarse_copies_stay_in_place():
    volume = ball()
    coarse = coarsen(volume, 6.0)
    assert coarse.data.size < volume.data.size / 7

    def centre(v):
        index = np.array(np.nonzero(v.data > -1)) @ v.data.ravel() / v.data.sum()
        return (v.affine @ [*index, 1.0])[:3]

    np.testing.assert_allclose(centre(coarse), centre(volume), atol=0.5)
