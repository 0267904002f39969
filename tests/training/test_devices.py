"""What a bare GPU node must do: simulate, train and predict with torch, numpy and safetensors alone."""

from __future__ import annotations

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.models.microstructure import MrConfig
from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.pairs import simulate_pairs
from pds_bids.training.data import make_batch
from pds_bids.training.distributed import Team
from pds_bids.training.finish import predict
from pds_bids.training.loop import Run, train
from pds_bids.training.recipe import StageConfig, TrainingConfig
from pds_bids.training.state import StateFile

pytestmark = pytest.mark.slow

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=(pytest.mark.gpu, needs_cuda))])
def device(request) -> str:
    return request.param


def test_a_pair_is_simulated_where_its_generator_lives(device):
    head = torch.full(FINE_SHAPE, int(Structure.AIR), dtype=torch.uint8, device=device)
    head[30:130, 30:160, 30:150] = int(Structure.WHITE)

    pair = simulate_pairs(head, torch.Generator(device).manual_seed(0), 1)[0]

    images = (*pair.sources.values(), *pair.targets.values())
    for tensor in (*images, *pair.masks.values(), pair.tissue, pair.structures):
        assert tensor.device.type == device
        assert torch.isfinite(tensor.float()).all()


def test_a_training_takes_place_where_the_model_is(device, bank, model, tmp_path):
    config = TrainingConfig(
        denoiser=StageConfig(steps=1),
        refiner=StageConfig(steps=1, draws=1.0, draw_steps=1),
        mr=MrConfig("slabs"),
        warmup_steps=1,
    )
    seen = []
    run = Run(None, Team(device), StateFile(tmp_path / "state", {}), [lambda _, look: seen.append(look())])

    train(model.to(device), bank, config, run, 0, int)

    assert all(images.isfinite().all() for images in seen)
    for network in (model.denoiser, model.refiner):
        assert all(torch.isfinite(p).all() for p in network.parameters())
        assert network.unet.head.weight.any()
    for target in range(len(Modality)):
        batch = make_batch(bank.get([0]), [target], None).to(device)
        for image in predict(model, batch):
            assert (image.device.type, image.shape[2:]) == (device, batch.images.shape[2:])
            assert torch.isfinite(image).all()
