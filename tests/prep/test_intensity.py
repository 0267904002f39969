import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Volume
from pds_bids.prep.intensity import TOP, IntensityScale, to_network

VALUES = arrays(np.float32, (4, 4, 4), elements=st.floats(1.0, 1000.0, width=32))


@given(VALUES)
def test_networks_see_the_relative_intensities_from_minus_one_to_one(values):
    volume = Volume(values, np.eye(4))
    scale = IntensityScale.fit(volume, volume.like(np.ones(values.shape)))
    seen = scale.apply(volume)
    assert seen.data.min() >= -1
    assert seen.data.max() <= 1
    np.testing.assert_allclose(seen.data + 1, scale.relative(volume).data, atol=1e-6)
    np.testing.assert_allclose(
        scale.relative(volume).data, np.minimum(values / scale.median, TOP), rtol=1e-4, atol=1e-6
    )


@given(VALUES, st.floats(0.01, 100.0))
def test_scanner_gain_does_not_matter(values, gain):
    volume = Volume(values, np.eye(4))
    louder = volume.like(values * np.float32(gain))
    mask = volume.like(np.ones(values.shape))
    np.testing.assert_allclose(
        IntensityScale.fit(volume, mask).apply(volume).data,
        IntensityScale.fit(louder, mask).apply(louder).data,
        atol=1e-4,
    )


def test_network_range():
    np.testing.assert_array_equal(to_network(np.array([0.0, 1.0, TOP])), [-1.0, 0.0, 1.0])


def test_only_the_mask_counts():
    volume = Volume(np.full((3, 3, 3), 50, np.float32), np.eye(4))
    volume.data[0] = 1e6
    inside = np.ones((3, 3, 3))
    inside[0] = 0
    assert IntensityScale.fit(volume, volume.like(inside)).median == 50


def test_nothing_to_measure():
    volume = Volume(np.zeros((3, 3, 3), np.float32), np.eye(4))
    with pytest.raises(ValueError, match="no positive signal"):
        IntensityScale.fit(volume, volume.like(np.ones((3, 3, 3))))
    with pytest.raises(GridMismatch):
        IntensityScale.fit(volume, Volume(np.ones((3, 3, 4), np.float32), np.eye(4)))
