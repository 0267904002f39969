"""Networks as small as can be, and a few drawn pairs for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pattern import PatternValues
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.training.data import PairBank, Sample


@pytest.fixture(scope="session")
def pattern() -> PatternValues:
    """Three ROIs, the first of which disease changes most."""
    centres = np.array([[-30.0, -20.0, -15.0], [30.0, 20.0, 30.0], [0.0, -60.0, 20.0]])
    atlas = RoiAtlas(("a", "b", "c"), centres, np.full(3, 12.0), (RoiGroup.LIMBIC,) + (RoiGroup.OTHER,) * 2)
    d = np.array([[-1.2, 0.4, 0.1], [1.0, 0.2, -0.3]])
    return PatternValues(atlas, d, np.array([0.6, 0.3, -0.1]), 40, 20, 20)


@pytest.fixture(scope="session")
def checkpoint(pattern: PatternValues) -> Checkpoint:
    """Random to the last layer, or every output would be zero."""
    torch.manual_seed(0)
    denoiser = DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=8, attention=False)
    model = PdsModel(ModelConfig(denoiser, RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4)))
    for weights in model.parameters():
        weights.data += 0.05 * torch.randn_like(weights)
    model.templates.fill_(0.9)
    model.know(pattern)
    return Checkpoint(model.eval(), {"split": {"test": ["a.nii.gz"]}}, "0" * 64, "small")


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PairBank:
    """Two balls of noise; each target is 2 minus its source."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in MODEL_GRID.shape], indexing="ij", sparse=True)
    mask = sum(axis**2 for axis in axes) < 0.8
    made = PairBank.create(Path(tmp_path_factory.mktemp("bank")), 2)
    for row in range(2):
        source = (1 + 0.2 * np.random.default_rng(row).standard_normal(mask.shape)).clip(0.2, 1.8)
        images = np.stack([np.stack([source] * 2), np.stack([2 - source] * 2)]).astype(np.float16)
        tissue = np.full((4, *(n // 2 for n in MODEL_GRID.shape)), 63, np.uint8)
        no_t1w = np.zeros(mask.shape, np.float16)
        made.put(row, Sample(images, np.stack([mask, mask]), tissue, no_t1w), anatomy=row)
    return made
