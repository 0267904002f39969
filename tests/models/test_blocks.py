from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pds_bids.models.blocks import Attention, ResBlock, TimeEmbedding, UNet, activated, channel_norm


def unet(width: int = 8, attention: bool = True) -> UNet:
    torch.manual_seed(0)
    return UNet(c_in=3, c_out=2, channels=(4, 8, 8), blocks=(1, 2, 1), width=width, attention=attention)


def test_channel_norm_gives_every_voxel_unit_power(generator):
    x = 10 * torch.randn((2, 6, 3, 4, 5), generator=generator)

    torch.testing.assert_close(channel_norm(x).square().mean(1), torch.ones(2, 3, 4, 5), rtol=1e-2, atol=0)


def test_channel_norm_of_nothing_is_nothing():
    assert torch.equal(channel_norm(torch.zeros(1, 4, 2, 2, 2)), torch.zeros(1, 4, 2, 2, 2))


def test_channel_norm_sees_a_crop_as_it_sees_the_whole(generator):
    x = torch.randn((1, 6, 8, 8, 8), generator=generator)
    crop = (..., slice(2, 6), slice(0, 3), slice(5, 8))

    assert torch.equal(channel_norm(x)[crop], channel_norm(x[crop]))


def test_values_are_rectified_in_place_unless_gradients_are_recorded():
    x = torch.tensor([-1.0, 2.0])

    assert torch.equal(activated(x), F.silu(torch.tensor([-1.0, 2.0])))
    assert torch.equal(x, torch.tensor([-1.0, 2.0]))
    with torch.no_grad():
        assert activated(x).data_ptr() == x.data_ptr()


def test_what_a_network_is_given_stays_as_it_is(awake, generator):
    network = awake(unet())
    x, times = torch.randn((1, 3, 4, 4, 4), generator=generator), torch.randn((1, 8), generator=generator)
    given = x.clone(), times.clone()

    with torch.inference_mode():
        network(x, times)

    assert torch.equal(x, given[0])
    assert torch.equal(times, given[1])


def test_time_embedding_knows_which_time_is_whose():
    torch.manual_seed(0)
    embed = TimeEmbedding(16)

    out = embed(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.25, 0.25], [0.2501, 0.25]]))

    assert out.shape == (4, 16)
    assert torch.pdist(out).min() > 1e-4


@pytest.mark.parametrize("block", [ResBlock(8, 8, 4), Attention(8)], ids=["residual", "attention"])
def test_an_untrained_block_is_the_identity(block, generator):
    x = torch.randn((2, 8, 2, 3, 2), generator=generator)
    times = (torch.randn((2, 4), generator=generator),) if isinstance(block, ResBlock) else ()

    assert torch.equal(block(x, *times), x)


def test_attention_looks_everywhere(awake, generator):
    attention = awake(Attention(8))
    x = torch.randn((1, 8, 3, 3, 3), generator=generator)
    other = x.clone()
    other[..., 2, 2, 2] += 1

    assert (attention(x) - attention(other)).abs().amax(1).min() > 1e-7


@pytest.mark.parametrize("size", [(8, 8, 8), (5, 6, 7), (1, 2, 3), (9, 4, 11)])
@pytest.mark.parametrize("attention", [True, False])
def test_unet_keeps_any_size(size, attention, awake, generator):
    network = awake(unet(attention=attention))

    out = network(torch.randn((2, 3, *size), generator=generator), torch.zeros(2, 8))

    assert out.shape == (2, 2, *size)
    assert out.std() > 0


def test_an_untrained_unet_says_zero(generator):
    out = unet()(torch.randn((1, 3, 4, 4, 4), generator=generator), torch.ones(1, 8))

    assert torch.equal(out, torch.zeros(1, 2, 4, 4, 4))


def test_times_matter_where_there_are_any(awake, generator):
    network = awake(unet())
    x = torch.randn((1, 3, 4, 4, 4), generator=generator)

    assert not torch.allclose(network(x, torch.zeros(1, 8)), network(x, torch.ones(1, 8)))


def test_a_unet_without_times_needs_none(awake, generator):
    network = awake(unet(width=0))

    assert network(torch.randn((1, 3, 4, 4, 4), generator=generator)).std() > 0
    assert not any("film" in name for name in network.state_dict())


def test_rows_of_a_batch_do_not_see_each_other(awake, generator):
    network = awake(unet())
    x, times = torch.randn((2, 3, 5, 4, 6), generator=generator), torch.randn((2, 8), generator=generator)

    both = network(x, times)

    torch.testing.assert_close(both[:1], network(x[:1], times[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_checkpointing_changes_no_gradient_and_keeps_less(awake, generator, precision):
    network = awake(unet())
    x, times = torch.randn((2, 3, 8, 8, 8), generator=generator), torch.randn((2, 8), generator=generator)
    gradients, kept = [], []
    for network.checkpointing in (False, True):
        network.zero_grad()
        sizes: list[int] = []
        with (
            torch.autograd.graph.saved_tensors_hooks(
                lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
            ),
            torch.autocast("cpu", precision, enabled=precision != torch.float32),
        ):
            loss = network(x, times).float().square().mean()
        loss.backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
        kept.append(sum(sizes))

    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    assert kept[1] < 0.5 * kept[0]


def test_without_gradients_nothing_is_checkpointed(generator, monkeypatch):
    network = unet()
    network.checkpointing = True
    monkeypatch.setattr("pds_bids.models.blocks.checkpoint", pytest.fail)

    with torch.no_grad():
        network(torch.randn((1, 3, 4, 4, 4), generator=generator), torch.ones(1, 8))
