from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import from_ants, read_matrix, to_ants, write_matrix


def oblique_affine(turns: tuple[float, float, float], axes: list[int], signs: list[int]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = nb.eulerangles.euler2mat(*turns) @ np.diag([2.0, 2.5, 3.0])
    affine[:3, :3] = affine[:3, axes] * signs
    affine[:3, 3] = (-11.0, 7.0, 23.0)
    return affine


@given(
    st.tuples(*[st.floats(-0.7, 0.7)] * 3),
    st.permutations([0, 1, 2]),
    st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3),
)
def test_any_orthogonal_grid_comes_back(turns, axes, signs):
    volume = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), oblique_affine(turns, axes, signs))
    back = from_ants(to_ants(volume), "native")
    np.testing.assert_array_equal(back.data, volume.data)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-5)


def test_ants_places_a_file_where_we_do(tmp_path: Path):
    import ants

    affine = oblique_affine((0.2, -0.1, 0.3), [2, 0, 1], [1, -1, 1])
    path = tmp_path / "oblique.nii.gz"
    nb.save(nb.Nifti1Image(np.ones((4, 5, 6), np.float32), affine), path)
    read, made = ants.image_read(str(path)), to_ants(Volume(np.ones((4, 5, 6), np.float32), affine))
    np.testing.assert_allclose(made.origin, read.origin, atol=1e-4)
    np.testing.assert_allclose(made.direction, read.direction, atol=1e-5)


def test_a_sheared_grid_is_refused():
    affine = np.eye(4)
    affine[0, 1] = 0.2
    with pytest.raises(GridMismatch, match="sheared"):
        to_ants(Volume(np.ones((3, 3, 3), np.float32), affine))


def test_matrices_survive_the_itk_file(tmp_path: Path):
    matrix = np.eye(4)
    matrix[:3] += np.random.default_rng(1).normal(0, 0.2, (3, 4))
    np.testing.assert_allclose(read_matrix(write_matrix(matrix, tmp_path / "m.mat")), matrix, atol=1e-5)
