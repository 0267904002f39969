import numpy as np
from nilearn.datasets import load_mni152_template
from nilearn.image import smooth_img

from pds_bids.core.volume import MODEL_GRID
from pds_bids.prep.atlas import template, template_mask, tissue_probabilities


def test_the_brain_lies_inside_the_model_grid_with_margins():
    for volume in (template(), template_mask()):
        assert volume.grid.matches(MODEL_GRID)
    brain = template_mask().data > 0
    for axis in range(3):
        extent = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
        assert extent[0] >= 2
        assert extent[-1] < MODEL_GRID.shape[axis] - 2


def test_a_voxel_of_the_template_is_what_nilearn_smooths_there():
    smooth = smooth_img(load_mni152_template(resolution=1), fwhm=2.0)
    voxels = np.argwhere(template_mask().data > 0)[::97]
    points = np.c_[voxels, np.ones(len(voxels))] @ MODEL_GRID.affine.T
    there = np.rint(points @ np.linalg.inv(smooth.affine).T)[:, :3].astype(int)
    expected = smooth.get_fdata(dtype=np.float32)[tuple(there.T)]
    np.testing.assert_allclose(template().data[tuple(voxels.T)], expected, atol=1e-6)


def test_left_and_right_are_symmetric():
    mask = template_mask().data
    assert np.mean(mask != mask[::-1]) < 0.002


def test_tissues_are_probabilities_inside_the_brain():
    grey, white, brain = tissue_probabilities(MODEL_GRID)
    assert ((grey.data + white.data)[brain.data > 0.99] <= 1.05).mean() > 0.99
    assert white.data[brain.data == 0].mean() < 0.002
