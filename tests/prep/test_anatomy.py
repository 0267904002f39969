import numpy as np
import pytest

from pds_bids.core.volume import Grid
from pds_bids.prep.anatomy import (
    GOOD_CORRELATION,
    MIN_CORRELATION,
    affine_through_t1w,
    local_correlation,
)
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.masking import brain_mask, grow, refine_mask
from pds_bids.prep.resampling import resample

SHAPE = (90, 100, 96)


@pytest.fixture(scope="session")
def t1w(truth):
    """The same head, T1-weighted, in a skull with a bright scalp, on its own 2 mm grid."""
    skull, scalp = grow(template_mask(), 6.0), grow(template_mask(), 12.0)
    whole = template().like(template().data + 0.9 * (scalp.data - skull.data))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-88.0, -104.0, -90.0)
    return resample(whole, Grid(SHAPE, affine), np.linalg.inv(truth), space="native")


def test_the_t1w_leads_to_the_template(head, t1w, truth, sloppy):
    mask = refine_mask(brain_mask(head), truth)
    astray = truth.copy()
    astray[1, 3] += 4.0
    matrix = affine_through_t1w(head, mask, t1w, astray, sloppy)
    assert matrix is not None
    points = np.array([[0, 0, 0, 1], [40, 20, 30, 1], [-40, -60, 10, 1]]).T
    error = np.linalg.norm(((matrix - truth) @ points)[:3], axis=0)
    assert error.mean() < 2.5


def test_another_scanner_frame(head, t1w, truth, sloppy):
    elsewhere = t1w.affine.copy()
    elsewhere[:3, 3] += (30.0, -25.0, 60.0)
    moved = type(t1w)(t1w.data, elsewhere)
    mask = refine_mask(brain_mask(head), truth)
    matrix = affine_through_t1w(head, mask, moved, truth, sloppy)
    assert matrix is not None
    assert np.linalg.norm((matrix - truth)[:3, 3]) < 4.0


def test_a_head_in_its_place_is_told_from_one_beside_it_whatever_the_bias_field(t1w, truth):
    shaded = t1w.like(t1w.data * np.exp(np.linspace(-1.2, 1.2, SHAPE[1]))[None, :, None])
    beside = truth.copy()
    beside[2, 3] += 12.0
    assert local_correlation(shaded, truth) > GOOD_CORRELATION
    assert local_correlation(shaded, beside) < MIN_CORRELATION


def test_something_else_is_refused(head, t1w, truth, sloppy):
    noise = t1w.like(np.random.default_rng(0).random(t1w.data.shape))
    mask = refine_mask(brain_mask(head), truth)
    assert affine_through_t1w(head, mask, noise, truth, sloppy) is None
