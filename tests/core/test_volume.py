from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.errors import GridMismatch, ParticipantError
from pds_bids.core.volume import MODEL_GRID, Grid, Volume, load_volume


@pytest.fixture
def volume() -> Volume:
    return Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.diag([2.0, 3.0, 4.0, 1.0]), "model")


def test_the_model_grid_is_symmetric_left_to_right_and_halves_three_times():
    x = MODEL_GRID.affine @ [[0, MODEL_GRID.shape[0] - 1], [0, 0], [0, 0], [1, 1]]

    assert x[0, 0] == -x[0, 1]
    assert all(n % 8 == 0 for n in MODEL_GRID.shape)
    np.testing.assert_array_equal(MODEL_GRID.voxel_mm, 2.0)


def test_the_model_grid_lies_where_the_weights_were_trained():
    first, last = (MODEL_GRID.affine @ [*voxel, 1] for voxel in ((0, 0, 0), (79, 95, 87)))

    np.testing.assert_array_equal(first, [-79, -112, -82, 1])
    np.testing.assert_array_equal(last, [79, 78, 92, 1])


def test_like_keeps_the_grid_and_makes_float32(volume):
    other = volume.like(np.ones((2, 3, 4)))

    np.testing.assert_array_equal(other.data, 1)
    assert other.grid.matches(volume.grid)
    assert (other.space, other.data.dtype) == ("model", np.float32)


def test_like_refuses_another_shape(volume):
    with pytest.raises(GridMismatch, match=r"\(2, 3, 4\), got \(4, 3, 2\)"):
        volume.like(np.ones((4, 3, 2)))


def test_a_series_is_no_volume():
    with pytest.raises(GridMismatch, match="3 dimensions"):
        Volume(np.zeros((2, 2, 2, 2), np.float32), np.eye(4))


@pytest.mark.parametrize(("shift_mm", "same"), [(0.0005, True), (0.01, False)])
def test_grids_match_to_a_thousandth_of_a_millimetre(volume, shift_mm, same):
    affine = volume.affine.copy()
    affine[0, 3] += shift_mm

    assert volume.grid.matches(Grid((2, 3, 4), affine)) is same


def test_require_names_both_grids(volume):
    with pytest.raises(GridMismatch, match=r"\(2, 3, 4\) in model, \(2, 3, 4\) in native"):
        volume.require(Volume(volume.data, np.eye(4)))


@pytest.mark.parametrize("dtype", ["<f4", "<i2"])
def test_load_reads_what_was_written_and_drops_axes_of_length_one(volume, tmp_path, dtype):
    path = tmp_path / "image.nii.gz"
    nb.Nifti1Image(volume.data[..., None].astype(dtype), volume.affine).to_filename(path)

    loaded = load_volume(path, "model")

    np.testing.assert_array_equal(loaded.data, volume.data)
    np.testing.assert_array_equal(loaded.affine, volume.affine)
    assert (loaded.space, loaded.data.dtype) == ("model", np.float32)
    assert load_volume(path).space == "native"


def write_series(path):
    nb.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)).to_filename(path)


def write_whole(path):
    nb.Nifti1Image(np.random.default_rng(0).random((9, 9, 9)), np.eye(4)).to_filename(path)


def write_truncated(path):
    write_whole(path)
    path.write_bytes(path.read_bytes()[:-500])


def write_wrong_checksum(path):
    """The voxels can be read all the same: the checksum comes after them."""
    write_whole(path)
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))


WHOLE = "restore the complete file"


@pytest.mark.parametrize(
    ("write", "fault", "remedy"),
    [
        (write_series, "has shape (2, 2, 2, 3), a 3D image is needed", "check the file"),
        (write_truncated, "cannot be read (Compressed file ended", "restore the complete file"),
        (write_wrong_checksum, "cannot be read (CRC check failed", "restore the complete file"),
        (
            lambda path: path.write_text("no image"),
            "cannot be read (Not a gzipped",
            "restore the complete file",
        ),
        (lambda path: None, "cannot be read ([Errno 2]", "restore the complete file"),
    ],
    ids=["4D", "truncated", "checksum", "text", "absent"],
)
def test_a_bad_file_is_named_in_one_line(write, fault, remedy, tmp_path):
    path = tmp_path / "bad.nii.gz"
    write(path)

    with pytest.raises(ParticipantError) as caught:
        load_volume(path)

    assert str(caught.value).startswith(f"{path}: {fault}")
    assert str(caught.value).endswith(f"; {remedy}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_compressed_is_only_read(volume, tmp_path):
    path = tmp_path / "image.nii"
    nb.Nifti1Image(volume.data, volume.affine).to_filename(path)

    np.testing.assert_array_equal(load_volume(path).data, volume.data)


def test_a_surface_is_no_image(tmp_path):
    path = tmp_path / "surface.gii"
    surface = nb.GiftiImage(darrays=[nb.gifti.GiftiDataArray(np.zeros(3, np.float32))])
    path.write_bytes(surface.to_bytes())

    with pytest.raises(ParticipantError, match=r"GiftiImage is no image of voxels\); restore the file$"):
        load_volume(path)
