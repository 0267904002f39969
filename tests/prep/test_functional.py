import nibabel as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.errors import ParticipantError
from pds_bids.prep.functional import count_non_steady, reduce_bold

pytestmark = pytest.mark.slow


@given(st.integers(0, 5), st.integers(20, 60), st.integers(0, 2**32 - 1))
def test_counts_the_bright_start(n_bright, n_steady, seed):
    steady = np.random.default_rng(seed).normal(100, 0.3, n_steady)
    start = 100 + 40 * 0.6 ** np.arange(n_bright)
    assert count_non_steady(np.concatenate([start, steady])) == n_bright


@pytest.mark.parametrize("means", [[140, 100], [140, 100, 100], [100, 100, 100, 100], [100, 99, 101, 150]])
def test_nothing_is_dropped_on_thin_evidence(means):
    assert count_non_steady(np.array(means, float)) == 0


def test_one_of_four_may_go():
    assert count_non_steady(np.array([140.0, 100, 101, 100])) == 1


def test_a_short_series_is_used_with_a_warning(head, save_series, sloppy):
    path = save_series([head.data] * 3, head.affine)
    reduced = reduce_bold(path, {"EchoTime": 0.03, "RepetitionTime": 2.0}, sloppy)
    assert "3 volume(s) only" in reduced.warnings[0]
    assert reduced.facts["n_used"] == 3
    assert reduced.facts["EchoTime"] == 0.03
    assert reduced.volume.grid.matches(head.grid)
    assert np.isfinite(reduced.volume.data).all()
    assert reduced.volume.data.min() >= 0
    assert np.corrcoef(reduced.volume.data.ravel(), head.data.ravel())[0, 1] > 0.99


def test_volumes_before_the_steady_state_stay_out(head, save_series, sloppy):
    path = save_series([1.5 * head.data, 1.2 * head.data, *[head.data] * 8], head.affine)
    reduced = reduce_bold(path, {}, sloppy)
    assert reduced.facts["n_dropped"] == 2
    brain = head.data > 500
    assert np.median(reduced.volume.data[brain]) == pytest.approx(np.median(head.data[brain]), rel=0.05)


def test_blemishes_are_warned_about(head, save_series, sloppy):
    spoilt = head.data.copy()
    spoilt[0, 0] = np.nan
    path = save_series([head.data, spoilt, np.zeros_like(spoilt), head.data], head.affine)
    text = " ".join(reduce_bold(path, {}, sloppy).warnings)
    assert "NaN or infinite voxels in 1 volume" in text
    assert "1 empty volume" in text


@pytest.mark.filterwarnings("error")
def test_infinite_voxels_make_no_noise(head, save_series, sloppy):
    spoilt = head.data.copy()
    spoilt[0, 0], spoilt[0, 1] = np.inf, -np.inf
    path = save_series([head.data, spoilt, np.full_like(spoilt, 1.0), head.data], head.affine)
    assert reduce_bold(path, {}, sloppy).facts["n_dropped"] == 0


@pytest.mark.parametrize("codes", ["LAS", "SAR"])
def test_storage_does_not_matter(codes, head, stored_as, save_series, sloppy):
    def reduced(volume, name):
        moved = np.roll(volume.data, 1, axis=nb.aff2axcodes(volume.affine).index("S"))
        return reduce_bold(save_series([volume.data, moved, volume.data], volume.affine, name), {}, sloppy)

    was = reduced(head, "ras_bold.nii.gz").volume
    turned = stored_as(head, codes)
    now = reduced(turned, "turned_bold.nii.gz").volume
    assert now.grid.matches(turned.grid)
    np.testing.assert_allclose(now.data, stored_as(was, codes).data, rtol=1e-4, atol=1e-2)


def test_constant_series_are_an_error(head, save_series, sloppy):
    path = save_series([np.full(head.data.shape, 7.0)] * 4, head.affine)
    with pytest.raises(ParticipantError, match="every volume is constant"):
        reduce_bold(path, {}, sloppy)


def test_noise_is_no_head(head, save_series, sloppy):
    blob = np.random.default_rng(0).random(head.data.shape)
    blob[20:24, 20:24, 20:24] += 100
    path = save_series([blob, blob], head.affine)
    with pytest.raises(ParticipantError, match="look like brain"):
        reduce_bold(path, {}, sloppy)
