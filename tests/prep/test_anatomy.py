import numpy as np
import pytest

from pds_bids.core.volume import MODEL_GRID, Grid
from pds_bids.prep.anatomy import (
    GOOD_CORRELATION,
    MIN_CORRELATION,
    affine_through_t1w,
    local_correlation,
    t1w_context,
)
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.masking import brain_mask, grow, refine_mask
from pds_bids.prep.resampling import resample

pytestmark = pytest.mark.slow

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
    through = affine_through_t1w(head, mask, t1w, astray, sloppy)
    assert through is not None
    points = np.array([[0, 0, 0, 1], [40, 20, 30, 1], [-40, -60, 10, 1]]).T
    for matrix in through:  # source and T1w share one frame here
        error = np.linalg.norm(((matrix - truth) @ points)[:3], axis=0)
        assert error.mean() < 2.5


def test_another_scanner_frame(head, t1w, truth, sloppy):
    elsewhere = t1w.affine.copy()
    elsewhere[:3, 3] += (30.0, -25.0, 60.0)
    moved = type(t1w)(t1w.data, elsewhere)
    mask = refine_mask(brain_mask(head), truth)
    through = affine_through_t1w(head, mask, moved, truth, sloppy)
    assert through is not None
    assert np.linalg.norm((through.source - truth)[:3, 3]) < 4.0
    back = np.eye(4)
    back[:3, 3] = (-30.0, 25.0, -60.0)
    assert np.linalg.norm((through.t1w - truth @ back)[:3, 3]) < 4.0


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


@pytest.mark.parametrize(("slope", "at_least"), [(0.0, 0.95), (0.5, 0.78)])
def test_the_context_is_the_template_again_even_under_a_bias_field(slope, at_least, t1w, truth, sloppy):
    shaded = t1w.like(1000 * t1w.data * np.exp(np.linspace(-slope, slope, SHAPE[1]))[None, :, None])
    context = t1w_context(shaded, truth, template_mask(), sloppy)
    assert context is not None
    assert context.grid.matches(MODEL_GRID)
    inside = template_mask().data > 0
    assert not context.data[~inside].any()
    assert np.corrcoef(context.data[inside], template().data[inside])[0, 1] > at_least  # uncorrected: 0.74


def test_a_t1w_that_shows_less_than_half_of_the_brain_is_no_context(t1w, truth, sloppy):
    cut = t1w.like(t1w.data * (np.arange(SHAPE[2]) > 68))
    assert t1w_context(cut, truth, template_mask(), sloppy) is None


def test_a_t1w_that_is_dark_in_most_of_the_brain_is_no_context(t1w, truth, sloppy):
    at = np.arange(SHAPE[2])
    torn = t1w.like(t1w.data * ((at < 30) | (at > 68)))  # the field of view is whole
    assert t1w_context(torn, truth, template_mask(), sloppy) is None
