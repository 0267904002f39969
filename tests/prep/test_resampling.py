import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import Grid, Volume
from pds_bids.prep.conversion import grid_image, to_ants, write_matrix
from pds_bids.prep.resampling import coarsen, field_of_view, isotropic_grid, part_seen, resample


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


def test_what_is_carried_bears_the_name_of_the_space_it_is_carried_to():
    volume = ball()
    assert resample(volume, volume.grid, np.eye(4), space="model").space == "model"
    assert coarsen(Volume(volume.data, volume.affine, "model"), 6.0).space == "model"


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


def test_splines_leave_nothing_beyond_the_field_of_view():
    volume = ball()
    bright = volume.like(volume.data + 0.5)
    away = np.eye(4)
    away[0, 3] = 40
    moved = resample(bright, volume.grid, away, "bspline", space="native")
    assert {0.0, 0.5} < {round(float(value), 3) for value in np.unique(moved.data)}


def test_field_of_view_ends_half_a_voxel_beyond_the_outermost_centres():
    slab = Grid((4, 4, 1), np.diag([2.0, 2.0, 6.0, 1.0]))
    fine = Grid((4, 4, 9), np.array([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, -4], [0, 0, 0, 1]]))
    inside = field_of_view(slab, fine, np.eye(4))
    np.testing.assert_array_equal(inside[0, 0], [False, True, True, True, True, True, True, True, False])


def test_the_rim_of_the_field_of_view_belongs_to_it():
    half = np.eye(4)
    half[:3, 3] = -0.5
    inside = field_of_view(Grid((2, 3, 4), np.eye(4)), Grid((4, 5, 6), half), np.eye(4))
    assert inside[:3, :4, :5].all()
    assert inside.sum() == 3 * 4 * 5


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.floats(0.5, 6)] * 3), st.floats(0.5, 6))
def test_cubic_voxels_fill_the_same_box_from_the_same_corner(shape, voxel_mm, spacing_mm):
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, :3] = [[0, 0, -1], [1, 0, 0], [0, 1, 0]] @ affine[:3, :3]
    affine[:3, 3] = (7, -5, 3)
    cubic = isotropic_grid(Grid(shape, affine), spacing_mm)
    corner = [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(cubic.affine @ corner, affine @ corner, atol=1e-9)
    np.testing.assert_allclose(cubic.voxel_mm, spacing_mm)
    spare = np.array(cubic.shape) * spacing_mm - np.multiply(shape, voxel_mm)
    assert ((spare > -1e-9) & (spare < spacing_mm + 1e-9)).all()


def test_coarse_copies_stay_in_place():
    volume = ball()
    coarse = coarsen(volume, 6.0)
    assert coarse.data.size < volume.data.size / 7

    def centre(v):
        index = np.array(np.nonzero(v.data > -1)) @ v.data.ravel() / v.data.sum()
        return (v.affine @ [*index, 1.0])[:3]

    np.testing.assert_allclose(centre(coarse), centre(volume), atol=0.5)


def test_a_copy_at_the_same_spacing_is_the_same():
    volume = ball()
    np.testing.assert_allclose(coarsen(volume, 3.0).data, volume.data, atol=1e-6)


def test_a_coarse_copy_is_smoothed_by_half_its_voxel():
    """Variances add: of the image, of the smoothing, and of the mean of two neighbours."""
    x, y, z = np.ogrid[-36:36, -36:36, -36:36]
    bump = Volume(np.exp(-(x**2 + y**2 + z**2) / (2 * 6.0**2)).astype(np.float32), np.eye(4))
    coarse = coarsen(bump, 4.0)
    mm = coarse.affine[0, 0] * np.arange(coarse.data.shape[0])
    along = coarse.data.sum((1, 2))
    variance = np.average((mm - np.average(mm, weights=along)) ** 2, weights=along)
    assert variance == pytest.approx(6.0**2 + 2.0**2 + 0.5**2, abs=0.1)


def test_axes_that_are_coarse_already_are_not_smoothed():
    step = np.zeros((9, 9, 6), np.float32)
    step[..., 3:] = 1
    coarse = coarsen(Volume(step, np.diag([1.0, 1.0, 8.0, 1.0])), 4.0)
    between = np.interp(np.arange(-2, 42 + 1, 4), 8 * np.arange(6), step[0, 0])
    np.testing.assert_allclose(coarse.data[1, 1], between, atol=1e-6)


def test_a_coarse_copy_is_not_dark_at_the_end_of_the_field_of_view():
    assert coarsen(Volume(np.ones((5, 5, 5), np.float32), np.eye(4)), 4.0).data.min() == 1


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_the_part_that_a_grid_sees_shows_what_the_whole_shows(turn):
    generator = np.random.default_rng(0)
    whole = Volume(generator.normal(size=(70, 80, 90)).astype(np.float32), np.diag([-1.0, 1.0, 1.0, 1.0]))
    grid = Grid((12, 10, 8), np.array([[2.0, 0, 0, -45], [0, 2, 0, 30], [0, 0, 2, 40], [0, 0, 0, 1]]))
    to_target = np.eye(4)
    to_target[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]

    part = part_seen(whole, grid, to_target)

    assert part.data.size < 0.6 * whole.data.size
    shown = [resample(volume, grid, to_target, "bspline", space="x").data for volume in (whole, part)]
    assert np.abs(shown[0]).max() > 1
    np.testing.assert_allclose(*shown, atol=1e-6)
