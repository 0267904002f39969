from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.training.data import PairBank, Sample


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def drawn_sample(seed: int) -> Sample:
    """A ball of two tissues with a core of fluid: where one modality is bright, the other is dark."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in MODEL_GRID.shape], indexing="ij", sparse=True)
    radius = sum((axis * random.uniform(0.9, 1.1) - 0.05) ** 2 for axis in axes) ** 0.5  # no symmetry
    tissue = np.stack([(radius > 0.5) & (radius < 0.8), (radius > 0.2) & (radius <= 0.5), radius <= 0.2])
    fractions = np.concatenate([tissue, ~tissue.any(0, keepdims=True)]).astype(np.float32)
    contrast = np.array([[1.0, 0.8, 1.3, 0.02], [1.0, 1.2, 0.4, 0.02]]) * random.uniform(300, 900, (2, 1))
    images = np.einsum("mt,txyz->mxyz", contrast, fractions)
    images = images * (1 + 0.03 * random.standard_normal((2, *images.shape)))  # as source, as target
    masks = np.stack([radius < 0.82, radius < 0.78])
    blocks = fractions.reshape(4, *(k for n in MODEL_GRID.shape for k in (n // 2, 2))).mean((2, 4, 6))
    t1w = np.einsum("t,txyz->xyz", np.array([0.7, 1.0, 0.2, 0.02]), fractions)
    return Sample(
        images.astype(np.float16), masks, (255 * blocks).round().astype(np.uint8), t1w.astype(np.float16)
    )


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return [drawn_sample(seed) for seed in range(3)]


@pytest.fixture(scope="session")
def bank(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> PairBank:
    folder: Path = tmp_path_factory.mktemp("bank")
    bank = PairBank.create(folder, len(samples))
    for row, sample in enumerate(samples):
        bank.put(row, sample, anatomy=10 + row)
    return PairBank.load(folder)


@pytest.fixture
def model() -> PdsModel:
    """Untrained, as small as can be."""
    torch.manual_seed(0)
    return PdsModel(
        ModelConfig(
            DenoiserConfig(channels=(8, 8), blocks=(1, 1), width=8, attention=False),
            RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4),
        )
    )


SMALL_TRAINING = Path(__file__).with_name("small_training.py")


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """The script `small_training.py` as a module."""
    spec = importlib.util.spec_from_file_location("small_training", SMALL_TRAINING)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks itself up
    spec.loader.exec_module(module)
    return module
