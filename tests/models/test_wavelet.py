from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.models.wavelet import VOXELS, blocks_to_voxels, haar, inverse_haar


@st.composite
def images(draw: st.DrawFn) -> torch.Tensor:
    """(B, C, X, Y, Z) float64 of even spatial sizes."""
    batch, channels = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    x, y, z = draw(st.tuples(*[st.integers(1, 4)] * 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    return torch.randn((batch, channels, 2 * x, 2 * y, 2 * z), generator=generator, dtype=torch.float64)


@given(images())
def test_the_inverse_is_exact(image):
    torch.testing.assert_close(inverse_haar(haar(image)), image, rtol=0, atol=1e-14)


@given(images())
def test_every_image_is_the_inverse_of_its_bands(bands):
    bands = bands.repeat(1, 8, 1, 1, 1)

    torch.testing.assert_close(haar(inverse_haar(bands)), bands, rtol=0, atol=1e-14)


@given(images())
def test_energy_is_kept(image):
    torch.testing.assert_close(haar(image).norm(), image.norm(), rtol=1e-13, atol=0)


def test_one_block_by_hand(generator):
    block = torch.randn((2, 2, 2), generator=generator, dtype=torch.float64)
    expected = []
    for along_x, along_y, along_z in itertools.product((0, 1), repeat=3):
        signed = [
            (-1) ** (along_x * i + along_y * j + along_z * k) * block[i, j, k]
            for i, j, k in itertools.product((0, 1), repeat=3)
        ]
        expected.append(sum(signed) / 8**0.5)

    bands = haar(block[None, None])

    torch.testing.assert_close(bands.flatten(), torch.stack(expected))


@pytest.mark.parametrize(("axis", "high_pass"), [(0, 4), (1, 2), (2, 1)])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_zigzag_along_one_axis_is_seen_by_one_band_of_its_channel(axis, high_pass, channel):
    image = torch.zeros(1, 2, 4, 4, 4)
    shape = [1, 1, 1]
    shape[axis] = 4
    image[0, channel] = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(shape)

    energy = haar(image).square().sum((0, 2, 3, 4))

    assert energy.nonzero().flatten().tolist() == [8 * channel + high_pass]


def test_blocks_do_not_touch_each_other():
    image = torch.zeros(1, 1, 4, 6, 8)
    image[0, 0, 3, 2, 7] = 1.0

    touched = haar(image).abs().sum((0, 1)).nonzero()

    assert touched.tolist() == [[1, 1, 3]]


def test_an_odd_size_is_refused():
    with pytest.raises(RuntimeError):
        haar(torch.zeros(1, 1, 4, 5, 4))


def test_blocks_to_voxels_by_hand():
    channels = torch.arange(8.0).view(1, 8, 1, 1, 1) + 10 * torch.arange(3.0).view(1, 1, 1, 1, 3)

    voxels = blocks_to_voxels(channels)[0, 0]

    assert voxels.shape == (2, 2, 6)
    for i, j, k, block in [(0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 2), (0, 0, 1, 1), (1, 1, 1, 2)]:
        assert voxels[i, j, 2 * block + k] == 4 * i + 2 * j + k + 10 * block


@given(images())
def test_blocks_hold_the_voxels_of_an_image_and_give_it_back(image):
    blocks = VOXELS.forward(image)

    assert blocks.shape == haar(image).shape
    assert torch.equal(VOXELS.inverse(blocks), image)
    # The first band of the Haar transform is the sum of a block.
    sums = blocks.unflatten(1, (-1, 8)).sum(2) * 8**-0.5
    torch.testing.assert_close(haar(image).unflatten(1, (-1, 8))[:, :, 0], sums)
