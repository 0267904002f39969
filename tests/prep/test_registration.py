import time

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import MODEL_GRID, Grid, Volume
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.registration import Alignment, add_warp, align, align_rigid, to_atlas, to_model, to_native
from pds_bids.prep.transforms import write_transforms

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def aligned(head, sloppy):
    alignment, mask, warnings = align(head, brain_mask(head), None, sloppy)
    assert warnings == ()
    return alignment, mask


@pytest.fixture(scope="session")
def warped(head, aligned, sloppy, tmp_path_factory):
    alignment, mask = aligned
    model = to_model(head.like(head.data * mask.data), alignment)
    return add_warp(alignment, model, tmp_path_factory.mktemp("warp"), sloppy), model


def corner_error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in native mm between where two affines put the points of the template's brain."""
    voxels = np.argwhere(template_mask().data > 0)[::501]
    points = MODEL_GRID.affine @ np.c_[voxels, np.ones(len(voxels))].T
    difference = (np.linalg.inv(found) - np.linalg.inv(truth)) @ points
    return float(np.linalg.norm(difference[:3], axis=0).mean())


def test_finds_the_known_affine(aligned, truth):
    alignment, _ = aligned
    assert corner_error_mm(alignment.to_model, truth) < 2.0
    assert alignment.quality["dice"] > 0.93


def test_masks_that_differ_do_not_pull_two_images_apart(head, aligned):
    _, mask = aligned
    shifted = head.affine.copy()
    shifted[:3, 3] += (3.0, -4.0, 5.0)
    other = Volume(2000 - head.data * (head.data > 0), shifted)
    top = np.argwhere(mask.data.any(axis=(0, 1))).max()
    drawn = np.roll(mask.data, -1, axis=2) * (np.arange(mask.data.shape[2]) < top - 2)
    matrix = align_rigid(head, mask, other, Volume(drawn, shifted), PrepConfig(threads=1))
    voxels = np.argwhere(mask.data > 0)[::101]
    there = shifted @ np.c_[voxels, np.ones(len(voxels))].T
    here = head.affine @ np.c_[voxels, np.ones(len(voxels))].T
    error = np.linalg.norm((matrix @ there - here)[:3], axis=0)
    assert error.mean() < 0.5  # by the masks alone: 4.3


@pytest.mark.parametrize("astray_mm", [0.0, 500.0])
@pytest.mark.parametrize("caught", [0, 1])
def test_a_search_that_is_caught_on_its_way_gives_way_to_the_one_back(
    caught, astray_mm, head, aligned, monkeypatch
):
    _, mask = aligned
    moved = head.affine.copy()
    moved[:3, 3] += (6.0, 0.0, -4.0)
    other = Volume(2000 - head.data * (head.data > 0), moved)
    right = head.affine @ np.linalg.inv(moved)
    astray = np.eye(4)
    astray[2, 3] = astray_mm
    found = iter([[astray, np.linalg.inv(right)], [right, astray]][caught])
    monkeypatch.setattr("pds_bids.prep.registration._rigid", lambda *_: next(found))
    matrix = align_rigid(head, mask, other, Volume(mask.data, moved), PrepConfig(threads=1))
    np.testing.assert_allclose(matrix, right)


@pytest.mark.parametrize("back", ["agrees", "fails"])
def test_a_search_whose_way_back_is_no_better_is_believed(back, head, aligned, monkeypatch):
    _, mask = aligned
    right = np.eye(4)
    right[0, 3] = 1.0

    def rigid(fixed, *_):
        if fixed is head:
            return right
        if back == "fails":
            raise RuntimeError("ITK gave up")
        return np.eye(4)

    monkeypatch.setattr("pds_bids.prep.registration._rigid", rigid)
    other = head.like(head.data.copy())
    assert align_rigid(head, mask, other, mask, PrepConfig(threads=1)) is right


def oblique(native_grid: Grid) -> Grid:
    rotation = nb.eulerangles.euler2mat(0.1, -0.15, 0.2)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([3.6, 3.8, 4.2])
    shape = (58, 62, 46)
    centre = native_grid.affine @ [*(np.array(native_grid.shape) / 2), 1.0]
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ (np.array(shape) / 2)
    return Grid(shape, affine)


def test_an_oblique_grid_does_not_matter(head, make_head, native_grid, aligned, truth, sloppy):
    here = make_head(oblique(native_grid))
    alignment, _, _ = align(here, brain_mask(here), None, sloppy)
    assert corner_error_mm(alignment.to_model, aligned[0].to_model) < 2.0
    was = to_model(head, aligned[0]).data
    now = to_model(here, alignment).data
    brain = template_mask().data > 0
    exact = [to_model(volume, Alignment(volume.grid, truth)).data for volume in (head, here)]
    interpolation = np.corrcoef(exact[0][brain], exact[1][brain])[0, 1]
    assert np.corrcoef(was[brain], now[brain])[0, 1] > interpolation - 0.05
    # The bright spot was painted at model x = -29 mm.
    contrast = now * (template().data > 0.6) * brain
    spot = MODEL_GRID.affine @ [*np.unravel_index(contrast.argmax(), contrast.shape), 1.0]
    np.testing.assert_allclose(spot[:3], (-29, -12, 28), atol=8.0)


@pytest.mark.parametrize("stored", ["RAS", "LAS", "RPI", "PSL"])
def test_a_one_voxel_left_marker_stays_left(stored, head, aligned, stored_as):
    alignment, _ = aligned
    marker = head.like(np.zeros(head.data.shape))
    marker.data[15, 30, 22] = 1000
    at = (marker.affine @ [15, 30, 22, 1])[:3]
    assert at[0] < -20
    turned = stored_as(marker, stored)
    alignment = Alignment(turned.grid, alignment.to_model)
    model = to_model(turned, alignment)
    found = MODEL_GRID.affine @ [*np.unravel_index(model.data.argmax(), model.data.shape), 1.0]
    np.testing.assert_allclose(found[:3], (alignment.to_model @ [*at, 1])[:3], atol=2.0)
    assert found[0] < -20
    back = to_native(model, alignment)
    home = back.affine @ [*np.unravel_index(back.data.argmax(), back.data.shape), 1.0]
    np.testing.assert_allclose(home[:3], at, atol=4.0)


def test_there_and_back(head, aligned):
    alignment, mask = aligned
    smooth = head.like(head.data * mask.data)
    back = to_native(to_model(smooth, alignment, "bspline"), alignment, "bspline")
    assert back.grid.matches(head.grid)
    brain = mask.data > 0
    assert np.corrcoef(back.data[brain], head.data[brain])[0, 1] > 0.97


def test_syn_improves_on_the_affine_and_does_not_fold(warped):
    alignment, model = warped
    assert alignment.quality["jacobian_min"] > 0.2
    assert alignment.quality["jacobian_max"] < 4.0
    carried = to_atlas(model, alignment)
    assert carried.grid.matches(MODEL_GRID)
    assert carried.space == "MNI152NLin2009aSym"
    brain = template_mask().data > 0
    before, after = ((volume.data > 100)[~brain].sum() for volume in (model, carried))
    assert after < before


def test_one_step_to_the_atlas_agrees_with_two(head, aligned, warped):
    alignment, mask = warped[0], aligned[1]
    source = head.like(head.data * mask.data)
    direct = to_atlas(source, alignment)
    stepwise = to_atlas(to_model(source, alignment), alignment)
    brain = template_mask().data > 0
    assert np.corrcoef(direct.data[brain], stepwise.data[brain])[0, 1] > 0.98


def test_written_transforms_do_what_to_atlas_does(head, warped, tmp_path):
    import ants

    from pds_bids.prep.conversion import grid_image, to_ants

    alignment, _ = warped
    forward, inverse = tmp_path / "forward.h5", tmp_path / "inverse.h5"
    write_transforms(alignment, forward, inverse)
    carried = ants.apply_transforms(grid_image(MODEL_GRID), to_ants(head), [str(forward)], "linear")
    np.testing.assert_allclose(carried.numpy(), to_atlas(head, alignment).data, atol=1e-2)
    home = ants.apply_transforms(to_ants(head), carried, [str(inverse)], "linear").numpy()
    brain = head.data > 300
    assert np.corrcoef(home[brain], head.data[brain])[0, 1] > 0.9


def test_transforms_are_the_same_bytes_at_any_time(warped, tmp_path):
    paths = [tmp_path / f"{name}.h5" for name in "abcd"]
    write_transforms(warped[0], *paths[:2])
    time.sleep(1.1)  # the clock of HDF5 counts seconds
    write_transforms(warped[0], *paths[2:])
    for first, second in zip(paths[:2], paths[2:], strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_names_that_ants_would_take_apart(head, warped, sloppy, tmp_path):
    folder = tmp_path / "wo rk,[2]"
    alignment = add_warp(warped[0], warped[1], folder, sloppy)
    assert {path.parent for path in alignment.syn + alignment.syn_inverse} == {folder}
    np.testing.assert_array_equal(to_atlas(head, alignment).data, to_atlas(head, warped[0]).data)
    partial = folder / ".xfm,[1].h5.part"
    write_transforms(alignment, partial, folder / "inverse, too.h5")
    assert partial.read_bytes().startswith(b"\x89HDF")
    assert {path.suffix for path in folder.iterdir()} == {".gz", ".h5", ".part"}


def test_bit_identical_with_one_thread(head, aligned, sloppy, warped, tmp_path):
    alignment, mask = aligned
    again, mask_again, _ = align(head, brain_mask(head), None, sloppy)
    np.testing.assert_array_equal(again.to_model, alignment.to_model)
    np.testing.assert_array_equal(mask_again.data, mask.data)
    rewarped = add_warp(again, warped[1], tmp_path, sloppy)
    np.testing.assert_array_equal(to_atlas(head, rewarped).data, to_atlas(head, warped[0]).data)


def test_full_effort_is_closer_than_sloppy(head, aligned, truth):
    alignment, _, _ = align(head, brain_mask(head), None, PrepConfig())
    assert corner_error_mm(alignment.to_model, truth) < 1.0
