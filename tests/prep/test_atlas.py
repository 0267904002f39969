import numpy as np

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


def test_left_and_right_are_symmetric():
    mask = template_mask().data
    assert np.mean(mask != mask[::-1]) < 0.002


def test_tissues_are_probabilities_inside_the_brain():
    grey, white, brain = tissue_probabilities(MODEL_GRID)
    assert ((grey.data + white.data)[brain.data > 0.99] <= 1.05).mean() > 0.99
    assert white.data[brain.data == 0].mean() < 0.002
