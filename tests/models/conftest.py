from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def awake() -> Callable[[nn.Module], nn.Module]:
    """Give every layer that starts at zero random values, as if the network had been trained."""

    def wake(network: nn.Module) -> nn.Module:
        torch.manual_seed(1)
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        return network.eval()

    return wake


@pytest.fixture
def tiny_config() -> ModelConfig:
    return ModelConfig(
        DenoiserConfig(channels=(4, 8), blocks=(1, 1), width=8),
        RefinerConfig(channels=(4, 8), blocks=(1, 1), projector=4),
    )


@pytest.fixture
def model(tiny_config: ModelConfig) -> PdsModel:
    torch.manual_seed(0)
    return PdsModel(tiny_config).eval()
