from itertools import permutations, product

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Volume
from pds_bids.prep.orientation import canonical, stored_on

CODES = ["".join(code) for axes in permutations(("RL", "AP", "SI")) for code in product(*axes)]


@given(st.sampled_from(CODES), st.tuples(*[st.floats(-0.5, 0.5)] * 3))
def test_every_order_of_axes_goes_there_and_back(codes, turns):
    turn = nb.orientations.axcodes2ornt(codes)
    affine = np.eye(4)
    affine[:3, :3] = nb.eulerangles.euler2mat(*turns) @ np.diag([2.0, 3.0, 4.0])
    affine[:3, 3] = (-11, 7, 23)
    image = nb.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), affine).as_reoriented(turn)
    volume = Volume(np.asarray(image.dataobj), image.affine)
    made = canonical(volume)
    closest = nb.as_closest_canonical(image)
    np.testing.assert_array_equal(made.data, closest.get_fdata())
    np.testing.assert_allclose(made.affine, closest.affine, atol=1e-9)
    back = stored_on(made, volume.grid)
    np.testing.assert_array_equal(back.data, volume.data)
    np.testing.assert_array_equal(back.affine, volume.affine)


def test_another_grid_is_refused():
    volume = Volume(np.zeros((3, 4, 5), np.float32), np.eye(4))
    with pytest.raises(GridMismatch, match="does not come from"):
        stored_on(volume, Volume(np.zeros((4, 3, 5), np.float32), np.eye(4)).grid)
