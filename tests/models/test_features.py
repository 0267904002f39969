from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.errors import UsageError
from pds_bids.models.features import (
    N_LEVELS,
    NOISE_FLOOR,
    RADIUS,
    VGG_BLOCKS,
    WAVELENGTH,
    GaborBank,
    Vgg16Features,
    convolve,
    directions,
    load_vgg16,
    quadrature_pairs,
)


def grating(size: int, wavelength: float, angle: float, phase: float = 0.0) -> Tensor:
    """(1, 1, size, size) of amplitude 1."""
    x, y = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    along = x * math.cos(angle) + y * math.sin(angle)
    return torch.cos(2 * math.pi * along / wavelength + phase)[None, None]


def centre(maps: Tensor) -> Tensor:
    """(C,) values in the middle, far from the border."""
    return maps[(0, slice(None), *(n // 2 for n in maps.shape[2:]))]


@pytest.mark.parametrize(("dims", "n"), [(2, 4), (3, 6)])
def test_directions_are_spread_evenly(dims, n):
    unit = directions(dims)

    assert unit.shape == (n, dims)
    torch.testing.assert_close(unit.T @ unit, torch.eye(dims) * n / dims)  # no direction is preferred
    nearest = (unit @ unit.T).abs().fill_diagonal_(0).max(1).values
    torch.testing.assert_close(nearest, nearest[:1].expand(n))


@pytest.mark.parametrize("dims", [2, 3])
def test_filters_do_not_see_a_constant(dims):
    kernels = quadrature_pairs(dims, WAVELENGTH, RADIUS)

    assert kernels.flatten(1).sum(1).abs().max() < 1e-5


@given(amplitude=st.floats(0.2, 1), phase=st.floats(0, 6.28), k=st.integers(0, 3))
def test_a_magnitude_is_the_amplitude_of_the_grating_at_any_phase(amplitude, phase, k):
    image = amplitude * grating(33, WAVELENGTH, k * math.pi / 4, phase)

    response = centre(GaborBank()(image)[0])

    expected = math.hypot(amplitude, NOISE_FLOOR) - NOISE_FLOOR
    assert response[k].item() == pytest.approx(expected, rel=0.05)
    assert response.argmax() == k


@pytest.mark.parametrize("level", range(N_LEVELS))
def test_each_level_sees_its_own_octave(level):
    image = grating(128, WAVELENGTH * 2**level, 0.0)

    responses = torch.stack([centre(maps).max() for maps in GaborBank()(image)])

    assert responses.argmax() == level


def test_a_volume_is_filtered_as_a_3d_convolution_would(generator):
    volume = torch.randn((2, 1, 6, 7, 8), generator=generator)
    kernels = quadrature_pairs(3, WAVELENGTH, RADIUS)

    torch.testing.assert_close(convolve(volume, kernels), F.conv3d(volume, kernels, padding="same"))


@pytest.mark.parametrize(("dims", "n"), [(2, 4), (3, 6)])
def test_maps_of_a_bank_halve(dims, n):
    maps = GaborBank(dims)(torch.zeros(2, 1, *[12] * dims))

    assert [m.shape for m in maps] == [(2, n, *[size] * dims) for size in (12, 6, 3)]
    assert all((m == 0).all() for m in maps)


def test_gradients_are_finite_on_a_flat_image():
    image = torch.zeros(1, 1, 8, 8, requires_grad=True)

    sum(m.sum() for m in GaborBank()(image)).backward()

    assert torch.isfinite(image.grad).all()


def test_a_bank_keeps_its_precision_under_autocast(generator):
    image, bank = torch.randn((1, 1, 16, 16), generator=generator), GaborBank()
    expected = bank(image)

    with torch.autocast("cpu", torch.bfloat16):
        found = bank(image)

    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under torchvision's names, some of a classifier among them."""
    torch.manual_seed(0)
    weights = {name: t.half() for name, t in Vgg16Features().state_dict().items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file({**weights, "classifier.0.bias": torch.zeros(3)}, path)
    return path


def test_the_layers_of_vgg16_have_torchvisions_names():
    """Their indices in torchvision.models.vgg16().features, where rectifiers and pools are counted."""
    weights = {n: p.shape for n, p in Vgg16Features().named_parameters() if n.endswith("weight")}

    indices = [int(name.split(".")[1]) for name in weights]
    assert indices == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert weights["features.0.weight"] == (64, 3, 3, 3)
    assert weights["features.28.weight"] == (512, 512, 3, 3)
    assert set(Vgg16Features().state_dict()) == {
        f"features.{i}.{kind}" for i in indices for kind in ("weight", "bias")
    }


def test_vgg16_from_a_file(vgg_file, generator):
    network = load_vgg16(vgg_file)
    image = torch.rand((2, 1, 40, 33), generator=generator) * 2 - 1
    image.requires_grad_()

    maps = network(image)
    maps[-1].sum().backward()

    sizes = [(40, 33), (20, 16), (10, 8), (5, 4), (2, 2)]
    assert [m.shape for m in maps] == [(2, b[-1], *s) for b, s in zip(VGG_BLOCKS, sizes, strict=True)]
    assert all((m >= 0).all() for m in maps)
    assert image.grad.abs().sum() > 0
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_vgg16_is_shown_what_imagenet_networks_expect(vgg_file):
    """Grey in all three channels, [0, 1], minus the mean, divided by the sd."""
    network = load_vgg16(vgg_file)
    seen = []
    network.features[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    network(torch.full((1, 1, 16, 16), -1.0))
    network(torch.full((1, 1, 16, 16), 1.0))

    black, white = (s[0, :, 0, 0] for s in seen)
    torch.testing.assert_close(black, torch.tensor([-2.1179, -2.0357, -1.8044]), rtol=0, atol=1e-3)
    torch.testing.assert_close(white, torch.tensor([2.2489, 2.4286, 2.6400]), rtol=0, atol=1e-3)


def test_a_file_that_is_not_of_vgg16_is_a_usage_error(tmp_path):
    missing, text, other, misshapen = (tmp_path / name for name in ("missing", "text", "other", "misshapen"))
    text.write_text("not weights")
    save_file({"conv.weight": torch.zeros(1)}, other)
    save_file({name: torch.zeros(1) for name in Vgg16Features().state_dict()}, misshapen)

    for path, fault in ((missing, ""), (text, ""), (other, r"features\.0\.weight"), (misshapen, "size")):
        with pytest.raises(UsageError, match=f"{path.name}: not the weights of VGG16 .*{fault}") as caught:
            load_vgg16(path)
        assert "\n" not in str(caught.value)
