from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pds_bids.models.blocks import UNet
from pds_bids.models.convolution import SMALL, Convolution, is_channels_last

SHAPES = {
    "one voxel": (1, 0, 1, (1, 6, 5, 4, 3)),
    "one voxel, batch": (1, 0, 1, (2, 6, 5, 4, 3)),
    "small": (3, 1, 1, (1, 6, 5, 4, 3)),
    "small, without a rim": (3, 0, 1, (1, 6, 5, 4, 3)),
    "wide": (5, 1, 1, (1, 6, 5, 4, 3)),
    "one plane": (3, 1, 1, (1, 6, 1, 4, 3)),
    "small, batch": (3, 1, 1, (2, 6, 5, 4, 3)),
    "small, strided": (2, 0, 2, (1, 6, 4, 4, 2)),
    "large": (3, 1, 1, (1, 64, 19, 20, 3)),
}


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("order", [channels_last, Tensor.contiguous], ids=["channels-last", "usual"])
@pytest.mark.parametrize("case", SHAPES)
def test_it_is_the_convolution_of_torch(case, order, generator):
    size, padding, stride, shape = SHAPES[case]
    ours = Convolution(shape[1], 7, size, padding=padding, stride=stride)
    theirs = nn.Conv3d(shape[1], 7, size, padding=padding, stride=stride)
    theirs.load_state_dict(ours.state_dict())
    answers, gradients = [], []
    for layer in (ours, theirs):
        x = order(torch.randn(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
        answers.append(layer(x))
        answers[-1].square().sum().backward()
        gradients.append([x.grad, *(p.grad for p in layer.parameters())])

    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_large_case_is_one_that_torch_does_well():
    *_, (_, channels, x, y, _) = SHAPES["large"]

    assert channels * x * y > SMALL


def test_a_network_of_channels_last_weights_never_leaves_that_order():
    network = UNet(c_in=3, c_out=2, channels=(4, 16, 16), blocks=(1, 2, 1), width=8, attention=True).eval()
    network.to(memory_format=torch.channels_last_3d)
    left: list[str] = []

    def look(name: str):
        def hook(_layer: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
            seen = [answer] if name == "stem" else [given[0], answer]
            left.extend(name for x in seen if not is_channels_last(x))

        return hook

    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv3d)}
    del layers["attention.out"]  # small, and what it is added to keeps its own order
    for name, layer in layers.items():
        layer.register_forward_hook(look(name))
    with torch.inference_mode():
        network(torch.randn(1, 3, 84, 84, 4), torch.zeros(1, 8))

    assert left == []
