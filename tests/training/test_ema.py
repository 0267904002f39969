from __future__ import annotations

import pytest
import torch
from torch import nn

from pds_bids.training.ema import Ema


@pytest.fixture
def network() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def test_the_copy_follows_slowly(network):
    ema = Ema(network, decay=0.25)
    nn.init.ones_(network.weight)

    followed = []
    for _ in range(3):
        ema.update(network)
        followed.append(ema.network.weight.item())

    first = 1 - 2 / 11
    second = 1 - (1 - first) * 3 / 12
    assert followed == pytest.approx([first, second, 1 - (1 - second) * 0.25])


def test_decay_rises_to_its_limit(network):
    ema = Ema(network, decay=0.999)
    ema.steps = 20_000
    nn.init.ones_(network.weight)

    ema.update(network)

    assert ema.network.weight.item() == pytest.approx(0.001)


def test_the_network_itself_is_left_alone(network):
    ema = Ema(network)
    before = network.weight.clone()

    ema.update(network)

    assert torch.equal(network.weight, before)
    assert network.weight.requires_grad
    assert not ema.network.weight.requires_grad
    assert network.training
    assert not ema.network.training
