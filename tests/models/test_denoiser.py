from __future__ import annotations

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.models.denoiser import BANDS, N_CONTEXT, Subbands, coordinates, point_estimate

SIZE = (5, 6, 4)
DIRECTIONS = pytest.mark.parametrize("target", range(len(Modality)), ids=[m.value for m in Modality])


@pytest.fixture
def bands(generator) -> torch.Tensor:
    return torch.randn((2, len(Modality), BANDS, *SIZE), generator=generator)


@pytest.fixture
def context(generator) -> torch.Tensor:
    return torch.randn((2, N_CONTEXT, *SIZE), generator=generator)


@pytest.fixture
def denoiser(model, awake):
    return awake(model.denoiser)


@pytest.fixture
def subbands(generator) -> Subbands:
    standardiser = Subbands(len(Modality))
    shape = (len(Modality), BANDS)
    standardiser.standardise(
        torch.randn(shape, generator=generator), 0.5 + torch.rand(shape, generator=generator)
    )
    return standardiser


def test_merge_undoes_split(subbands, generator, context):
    images = torch.randn((2, len(Modality), 6, 4, 8), generator=generator)

    torch.testing.assert_close(subbands.merge(subbands.split(images)), images)


def test_merge_one_takes_the_statistics_of_each_row(subbands, generator, context):
    images = torch.randn((2, len(Modality), 6, 4, 8), generator=generator)
    rows, which = torch.arange(2), torch.tensor([1, 0])

    merged = subbands.merge_one(subbands.split(images)[rows, which], which)

    torch.testing.assert_close(merged[:, 0], images[rows, which])


def test_split_standardises():
    subbands = Subbands(len(Modality))
    subbands.standardise(torch.full((2, BANDS), 3.0), torch.full((2, BANDS), 2.0))
    constant = torch.full((1, 2, 2, 2, 2), 5.0)

    low_pass = subbands.split(constant)[0, :, 0].flatten()

    torch.testing.assert_close(low_pass, torch.full((2,), (5 * 8**0.5 - 3) / 2))


def test_coordinates_are_voxel_centres():
    where = coordinates((4, 2, 1), torch.zeros(()))

    assert where.shape == (1, 3, 4, 2, 1)
    assert where[0, 0, :, 0, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert where[0, 1, 0, :, 0].tolist() == [-0.5, 0.5]
    assert where[0, 2].unique().tolist() == [0.0]


def test_coordinates_do_not_depend_on_resolution():
    fine, coarse = (coordinates((n, n, n), torch.zeros(())) for n in (8, 4))

    torch.testing.assert_close(torch.nn.functional.avg_pool3d(fine, 2), coarse)


def test_an_untrained_denoiser_says_zero(model, bands, context):
    assert torch.equal(model.denoiser(bands, torch.rand(2, 2), context), torch.zeros_like(bands))


def test_v_has_the_shape_of_its_input(denoiser, bands, context):
    assert denoiser(bands, torch.full((2, 2), 0.5), context).shape == bands.shape


@DIRECTIONS
def test_the_estimate_does_not_see_the_target(denoiser, bands, target, context):
    other = bands.clone()
    other[:, target] = 100 * torch.randn(other[:, target].shape)
    index = torch.tensor([target, target])

    estimate, source = point_estimate(denoiser, bands, index, context)

    assert torch.equal(estimate, point_estimate(denoiser, other, index, context)[0])
    assert torch.equal(source, bands[:, 1 - target])
    assert estimate.std() > 0


@DIRECTIONS
def test_the_estimate_sees_the_source(denoiser, bands, target, context):
    other = bands.clone()
    other[:, 1 - target] += torch.randn(other[:, target].shape)
    index = torch.tensor([target, target])

    estimates = [point_estimate(denoiser, b, index, context)[0] for b in (bands, other)]

    assert (estimates[0] - estimates[1]).abs().mean() > 0.01 * estimates[0].abs().mean()


def test_directions_mix_in_a_batch(denoiser, bands, context):
    mixed, _ = point_estimate(denoiser, bands, torch.tensor([0, 1]), context)

    for row in (0, 1):
        alone, _ = point_estimate(denoiser, bands[row : row + 1], torch.tensor([row]), context[row : row + 1])
        torch.testing.assert_close(mixed[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_the_noise_of_a_half_noised_modality_is_estimated_from_the_other(denoiser, bands, context):
    other = bands.clone()
    other[:, 0] += 1.0
    u = torch.tensor([[0.0, 0.5]]).expand(2, -1)

    assert not torch.allclose(denoiser(bands, u, context)[:, 1], denoiser(other, u, context)[:, 1])
    assert not torch.allclose(denoiser(bands, u, context), denoiser(bands, u.flip(1), context))
