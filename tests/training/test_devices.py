"""What a bare GPU node must do: simulate, train and predict with torch, numpy and safetensors alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.models.microstructure import MrConfig, load_microstructure
from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.pairs import simulate_pair
from pds_bids.training.data import make_batch
from pds_bids.training.finish import predict
from pds_bids.training.loop import StageConfig, TrainingConfig, run_stage
from pds_bids.training.objectives import denoiser_loss, refiner_loss

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=(pytest.mark.gpu, needs_cuda))])
def device(request) -> str:
    return request.param


def test_a_pair_is_simulated_where_its_generator_lives(device):
    head = torch.full(FINE_SHAPE, int(Structure.AIR), dtype=torch.uint8, device=device)
    head[30:130, 30:160, 30:150] = int(Structure.WHITE)

    pair = simulate_pair(head, torch.Generator(device).manual_seed(0))

    images = (*pair.sources.values(), *pair.targets.values())
    for tensor in (*images, *pair.masks.values(), pair.tissue, pair.structures):
        assert tensor.device.type == device
        assert torch.isfinite(tensor.float()).all()


@pytest.mark.parametrize("target", range(len(Modality)), ids=[m.value for m in Modality])
def test_both_stages_take_a_step(device, bank, model, generator, target):
    model.to(device)
    batch = make_batch(bank.get([0]), [target], [generator]).to(device)
    microstructure = partial(load_microstructure(MrConfig("slabs")).to(device), generator=generator)
    losses = {
        model.denoiser: lambda _: denoiser_loss(model, batch, False, generator),
        model.refiner: lambda _: refiner_loss(model, batch, microstructure),
    }

    for network, loss in losses.items():
        averaged = run_stage(
            network, loss, StageConfig(1.0), TrainingConfig(warmup_steps=1), 0.1 / 60, lambda line: None
        )
        assert all(torch.isfinite(p).all() for p in averaged.parameters())
        assert averaged.unet.head.weight.any()

    for image in predict(model, batch):
        assert (image.device.type, image.shape[2:]) == (device, batch.images.shape[2:])
        assert torch.isfinite(image).all()
