from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pds_bids.models.blocks import Attention, ResBlock, UNet
from pds_bids.models.convolution import SMALL, Convolution

CASES = {
    "one voxel": (1, {}, (1, 6, 5, 4, 3)),
    "one voxel, batch": (1, {}, (2, 6, 5, 4, 3)),
    "one voxel, strided": (1, {"stride": 2}, (1, 6, 5, 4, 3)),
    "one voxel, with a rim": (1, {"padding": 1}, (1, 6, 5, 4, 3)),
    "small": (3, {"padding": 1}, (1, 6, 5, 4, 3)),
    "small, without a rim": (3, {}, (1, 6, 5, 4, 3)),
    "small, one channel": (3, {"padding": 1}, (1, 1, 5, 4, 3)),
    "small, one plane": (3, {"padding": 1}, (1, 6, 1, 4, 3)),
    "small, batch": (3, {"padding": 1}, (2, 6, 5, 4, 3)),
    "small, strided": (2, {"stride": 2}, (1, 6, 4, 4, 2)),
    "small, wide": (5, {"padding": 1}, (1, 6, 5, 4, 3)),
    "large": (3, {"padding": 1}, (1, 64, 19, 20, 3)),
}


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


def both(case: str) -> tuple[Convolution, nn.Conv3d, tuple[int, ...]]:
    """Ours and torch's, with the same weights, and the shape of what they are given."""
    size, options, shape = CASES[case]
    torch.manual_seed(0)
    ours, theirs = (kind(shape[1], 7, size, **options) for kind in (Convolution, nn.Conv3d))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, shape


@pytest.mark.parametrize("weights", [torch.channels_last_3d, torch.contiguous_format], ids=["last", "usual"])
@pytest.mark.parametrize("order", [channels_last, Tensor.contiguous], ids=["given last", "given usual"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_convolution_of_torch(case, order, weights):
    *layers, shape = both(case)
    answers, gradients = [], []
    for layer in layers:
        x = order(torch.randn(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
        answers.append(layer.to(memory_format=weights)(x))
        answers[-1].square().sum().backward()
        gradients.append([x.grad, *(p.grad for p in layer.parameters())])

    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("how", ["autocast", "weights"])
@pytest.mark.parametrize("case", ["one voxel", "small"])
def test_half_precision_is_left_to_torch(case, how):
    *layers, shape = both(case)
    half = torch.bfloat16 if how == "weights" else torch.float32
    x = channels_last(torch.randn(shape)).to(half)
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        answers = [layer.to(half, memory_format=torch.channels_last_3d)(x) for layer in layers]

    assert answers[0].dtype == torch.bfloat16
    assert torch.equal(*answers)


def test_the_large_case_is_one_that_torch_does_well():
    _, _, (_, channels, x, y, _) = CASES["large"]

    assert channels * x * y > SMALL


@pytest.mark.parametrize("shape", [(84, 84, 4), (40, 48, 12), (9, 7, 5)], ids=["large", "small", "odd"])
def test_a_network_of_channels_last_weights_keeps_to_that_order(shape):
    network = UNet(c_in=3, c_out=2, channels=(4, 16, 16), blocks=(1, 2, 1), width=8, attention=True).eval()
    network.to(memory_format=torch.channels_last_3d)
    blocks = {name: part for name, part in network.named_modules() if isinstance(part, ResBlock | Attention)}
    left: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(_block: nn.Module, _given: tuple[Tensor, ...], answer: Tensor) -> None:
            # Of one volume `is_contiguous` leaves a stride out that `torch.cat` looks at.
            ordered = torch.empty(answer.shape, memory_format=torch.channels_last_3d)
            left.extend([name] if answer.stride() != ordered.stride() else [])

        return hook

    for name, block in blocks.items():
        block.register_forward_hook(look(name))
    with torch.inference_mode():
        network(torch.randn(1, 3, *shape), torch.zeros(1, 8))

    assert len(blocks) == 8
    assert left == []
