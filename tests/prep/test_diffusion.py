import numpy as np
import pytest

from pds_bids.core.errors import ParticipantError
from pds_bids.prep.diffusion import choose_shell, count_directions, read_gradients, reduce_dwi

pytestmark = pytest.mark.slow

N = 8
BVALS = np.array([0.0, *[1000.0] * 7])


@pytest.fixture
def table(tmp_path):
    """Write a gradient table; either file can be replaced."""
    vectors = np.random.default_rng(0).normal(size=(3, N))
    vectors /= np.linalg.norm(vectors, axis=0)
    vectors[:, 0] = 0

    def write(bvals=BVALS, bvecs=vectors):
        bval, bvec = tmp_path / "a.bval", tmp_path / "a.bvec"
        for path, values in ((bval, bvals), (bvec, bvecs)):
            if isinstance(values, str):
                path.write_text(values)
            else:
                np.savetxt(path, np.atleast_2d(values), fmt="%.6f")
        return bval, bvec

    write.vectors = vectors
    return write


def test_reads_a_table(table):
    gradients = read_gradients(*table(), N)
    np.testing.assert_allclose(gradients.bvecs, table.vectors.T, atol=1e-5)
    assert gradients.warnings == ()


def test_transposed_files_are_turned_round(table):
    bval, bvec = table(BVALS[:, None], table.vectors.T)
    gradients = read_gradients(bval, bvec, N)
    np.testing.assert_allclose(gradients.bvecs, table.vectors.T, atol=1e-5)
    assert "transposed" in gradients.warnings[0]


@pytest.mark.parametrize(
    ("bvals", "bvecs", "fault"),
    [
        (BVALS[:-1], None, "a.bval: has 7 b-values for 8 volumes"),
        (BVALS, np.ones((3, 5)), "a.bvec: has 3 rows and 5 columns"),
        (BVALS, np.full((3, N), np.nan), "a.bvec: has NaN"),
        ("0 1000 abc", None, "a.bval: is not a table of numbers"),
        ("", None, "a.bval: is empty"),
        ("0 1000\n1000", None, "a.bval: is not a table of numbers"),
        (-BVALS, None, "a.bval: has negative"),
        (BVALS, np.full((3, N), 2.0), "a.bvec: has 7 diffusion directions that are not unit"),
    ],
)
def test_bad_tables_name_the_file_at_fault(table, bvals, bvecs, fault):
    bval, bvec = table(bvals, table.vectors if bvecs is None else bvecs)
    with pytest.raises(ParticipantError, match=fault):
        read_gradients(bval, bvec, N)


def test_a_missing_table(table):
    bval, bvec = table()
    bvec.unlink()
    with pytest.raises(ParticipantError, match=r"a\.bvec: is missing"):
        read_gradients(bval, bvec, N)


def test_the_shell_nearest_1000():
    bvals = np.array([0, 5, 500, 700, 950, 1000, 1050, 2000, 3000.0])
    assert choose_shell(bvals) == (1000.0, [4, 5, 6])
    assert choose_shell(np.array([0, 2000.0, 2050, 3000])) == (2025.0, [1, 2])


def test_opposite_directions_are_one():
    assert count_directions(np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0.9999, 0.01]])) == 2


def test_mean_of_the_shell_leaves_b0_out(table, head, save_series, sloppy):
    attenuated = [head.data * (1.0 if b == 0 else 0.4) for b in BVALS]
    path = save_series(attenuated, head.affine, "sub-01_dwi.nii.gz")
    reduced = reduce_dwi(path, *table(), sloppy)
    brain = head.data > 500
    assert np.median(reduced.volume.data[brain]) == pytest.approx(0.4 * np.median(head.data[brain]), rel=0.1)
    assert reduced.facts["n_b0"] == 1
    assert reduced.facts["n_used"] == 7
    assert reduced.warnings == ()


def test_unusual_series_are_warned_about(table, head, save_series, sloppy):
    path = save_series([head.data] * N, head.affine, "sub-01_dwi.nii.gz")
    vectors = np.repeat(table.vectors[:, 1:2], N, axis=1)
    reduced = reduce_dwi(path, *table(np.full(N, 2500.0), vectors), sloppy)
    text = " ".join(reduced.warnings)
    for word in ("b = 2500", "only 1 gradient", "no b = 0"):
        assert word in text


def test_b0_alone_is_an_error(table, head, save_series, sloppy):
    path = save_series([head.data] * N, head.affine, "sub-01_dwi.nii.gz")
    with pytest.raises(ParticipantError, match="only b = 0 volumes"):
        reduce_dwi(path, *table(np.zeros(N)), sloppy)
