import gzip
import re
import struct
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.errors import ParticipantError
from pds_bids.prep.series import NO_AFFINE, finite, open_series

AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])
SHAPE = (20, 21, 22, 6)


def write(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nb.save(nb.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)


def test_reads_chosen_volumes_in_rising_order(tmp_path, data):
    series = open_series(write(tmp_path / "a.nii.gz", data))
    read = list(series.volumes([4, 1]))
    np.testing.assert_array_equal(read[0].data, data[..., 1])
    np.testing.assert_array_equal(read[1].data, data[..., 4])
    assert series.n_volumes == 6


def test_honours_the_scaling_of_integers(tmp_path, data):
    image = nb.Nifti1Image(data, AFFINE)
    image.header.set_slope_inter(2.5, 10)
    raw = data.copy()
    image = nb.Nifti1Image(raw, AFFINE, image.header)
    path = tmp_path / "scaled.nii"
    with path.open("wb") as stream:
        header = image.header.copy()
        header["scl_slope"], header["scl_inter"], header["vox_offset"] = 2.5, 10, 352
        header["magic"] = b"n+1"
        stream.write(header.binaryblock + b"\0" * 4 + raw.tobytes(order="F"))
    volume = next(open_series(path).volumes([2]))
    np.testing.assert_allclose(volume.data, data[..., 2] * 2.5 + 10)


def test_a_truncated_gzip_names_file_and_remedy(tmp_path, data):
    path = write(tmp_path / "cut.nii.gz", data)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ParticipantError, match=re.escape(str(path)) + ".*cannot be read.*restore"):
        open_series(path)


@pytest.mark.parametrize("content", [b"", b"not an image at all", gzip.compress(b"still none", mtime=0)])
def test_other_files_are_not_nifti(tmp_path, content):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ParticipantError, match="not a readable NIfTI"):
        open_series(path)


@pytest.mark.parametrize("shape", [(20, 21, 22), (20, 21, 22, 1)])
def test_one_volume_is_not_a_series(tmp_path, shape):
    with pytest.raises(ParticipantError, match="4D series of at least 2"):
        open_series(write(tmp_path / "a.nii", np.ones(shape, np.float32)))


@pytest.mark.parametrize(
    ("affine", "fault"),
    [
        (np.diag([0.0, 3, 3, 1]), "singular"),
        (np.array([[3.0, 1, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]), "sheared"),
        (np.diag([0.003, 0.003, 0.004, 1]), "voxels of"),
        (np.diag([3000.0, 3000, 4000, 1]), "voxels of"),
        (np.diag([1.0, 1, 1, 1]), "field of view"),
    ],
)
def test_impossible_geometry_is_an_error(tmp_path, data, affine, fault):
    path = write(tmp_path / "a.nii", data)
    image = nb.load(path)
    header = image.header.copy()
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    header["sform_code"] = 1
    path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    with pytest.raises(ParticipantError, match=fault):
        open_series(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path, data, monkeypatch):
    path = write(tmp_path / "bold.nii.gz", data)

    def refuse(*_, **__):  # root may read everything, so that real permissions prove nothing in a container
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(nb, "load", refuse)
    with pytest.raises(ParticipantError, match=r"bold\.nii\.gz: is not a readable .*Permission denied"):
        open_series(path)


def test_conflicting_forms_are_a_warning(tmp_path, data):
    image = nb.Nifti1Image(data, AFFINE)
    image.set_qform(np.diag([-3.0, 3, 4, 1]), 1)
    image.set_sform(AFFINE, 1)
    path = tmp_path / "a.nii"
    nb.save(image, path)
    series = open_series(path)
    assert "disagree" in series.warnings[0]
    np.testing.assert_allclose(next(series.volumes([0])).affine, AFFINE)


def test_nifti_2_is_read(tmp_path, data):
    path = tmp_path / "a.nii.gz"
    nb.save(nb.Nifti2Image(data, AFFINE), path)
    np.testing.assert_array_equal(next(open_series(path).volumes([3])).data, data[..., 3])


def test_other_formats_and_complex_numbers_are_refused(tmp_path, data):
    with pytest.raises(ParticipantError, match="complex voxels; give the magnitude"):
        open_series(write(tmp_path / "a.nii", data.astype(np.complex64)))
    nb.save(nb.MGHImage(data.astype(np.float32), AFFINE), tmp_path / "a.mgz")
    with pytest.raises(ParticipantError, match="not a readable NIfTI"):
        open_series(tmp_path / "a.mgz")


def test_no_affine_is_said_in_every_fault(tmp_path, data):
    path = write(tmp_path / "a.nii", data)
    raw = bytearray(path.read_bytes())
    raw[252:256] = bytes(4)  # qform_code and sform_code
    path.write_bytes(raw)
    assert open_series(path).warnings == (NO_AFFINE,)
    struct.pack_into("<f", raw, 80, 0.001)  # pixdim[1]
    path.write_bytes(raw)
    with pytest.raises(ParticipantError, match=r"voxels of.*no affine in the header"):
        open_series(path)


def test_headers_are_mended_in_silence(tmp_path, data, capfd):
    path = write(tmp_path / "a.nii", data)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<h", raw, 72, 33)  # bitpix that contradicts the data type
    struct.pack_into("<h", raw, 252, 77)  # an unknown qform_code
    path.write_bytes(raw)
    open_series(path)
    assert capfd.readouterr().err == ""


def test_a_few_nan_become_zero_and_many_are_an_error(tmp_path):
    values = np.ones((10, 10, 10), np.float32)
    values[0, 0] = np.nan
    assert finite(values, tmp_path, "x")[0, 0].sum() == 0
    values[:2] = np.inf
    with pytest.raises(ParticipantError, match="20% NaN or infinite"):
        finite(values, tmp_path, "x")
