from __future__ import annotations

import numpy as np
import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.training.data import (
    PairBank,
    Sample,
    halved,
    make_batch,
    masked_median,
    model_units,
)

DIRECTIONS = pytest.mark.parametrize("target", range(len(Modality)), ids=[m.value for m in Modality])


@pytest.fixture
def sample(bank) -> Sample:
    return bank.get([0, 1])


def test_the_median_becomes_the_middle_and_twice_that_the_top():
    image = torch.tensor([0.0, 50.0, 100.0, 150.0, 400.0]).view(5, 1, 1)

    scaled = model_units(image, torch.ones(5, 1, 1))

    assert scaled.flatten().tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_what_is_outside_the_mask_is_air_and_does_not_scale(generator):
    image = torch.rand((4, 4, 4), generator=generator) + 0.5
    mask = torch.zeros(4, 4, 4)
    mask[1:3] = 1
    brighter = torch.where(mask > 0, image, 1000 * image)

    scaled = model_units(image, mask)

    assert (scaled[mask == 0] == -1).all()
    assert torch.equal(scaled, model_units(brighter, mask))


def test_scaling_forgets_the_gain(generator):
    image, mask = torch.rand((4, 4, 4), generator=generator), torch.ones(4, 4, 4)

    torch.testing.assert_close(model_units(image, mask), model_units(37 * image, mask))


def test_an_empty_mask_divides_by_one():
    assert masked_median(torch.full((2, 2, 2), 5.0), torch.zeros(2, 2, 2)) == 1
    assert (model_units(torch.full((2, 2, 2), 5.0), torch.zeros(2, 2, 2)) == -1).all()


def test_a_bank_gives_back_what_was_put_in(bank, samples):
    got = bank.get([2, 0])

    for row, expected in zip((0, 1), (samples[2], samples[0]), strict=True):
        for stored, value in zip(got, expected, strict=True):
            np.testing.assert_array_equal(stored[row], value)
            assert stored.dtype == value.dtype
    assert len(bank) == 3
    assert bank.anatomy.tolist() == [10, 11, 12]


def test_rows_in_memory_are_not_the_file(bank, samples):
    bank.get([0]).images[:] = 0

    np.testing.assert_array_equal(bank.get([0]).images[0], samples[0].images)


def test_a_bank_for_reading_cannot_be_written(bank, samples):
    with pytest.raises(ValueError, match="read-only"):
        bank.put(0, samples[1], 0)


def test_an_empty_bank_holds_zeros(tmp_path):
    bank = PairBank.create(tmp_path / "new" / "bank", 1)

    assert bank.get([0]).images.shape == (1, 2, len(Modality), *MODEL_GRID.shape)
    assert not bank.get([0]).images.any()


def test_a_batch_is_in_model_units(sample):
    batch = make_batch(sample, [0, 1], None)

    assert batch.images.shape == (2, len(Modality), *MODEL_GRID.shape)
    assert batch.tissue.shape == (2, 4, *(n // 2 for n in MODEL_GRID.shape))
    assert (batch.images.min(), batch.images.max() <= 1) == (-1, True)
    torch.testing.assert_close(batch.tissue.sum(1), torch.ones_like(batch.tissue[:, 0]), rtol=0, atol=0.01)
    for row in range(2):
        inside = batch.mask[row, 0] > 0
        assert (batch.images[row][:, ~inside] == -1).all()
        for image in batch.images[row]:
            assert image[inside].median().abs() < 1e-6


@DIRECTIONS
@pytest.mark.parametrize("augmented", [False, True])
def test_nothing_of_the_target_reaches_the_source(sample, target, augmented, generator):
    """The leak traps: another target volume, or another mask of it, changes neither source nor mask."""
    images, masks = sample.images.copy(), sample.masks.copy()
    images[:, :, target] = np.random.default_rng(5).uniform(0, 60_000, images[:, :, target].shape)
    masks[:, target] = ~masks[:, target]

    def batch(from_sample: Sample):
        seeded = generator.manual_seed(3) if augmented else None
        return make_batch(from_sample, [target] * 2, seeded)

    before, after = batch(sample), batch(Sample(images, masks, sample.tissue))

    assert torch.equal(before.images[:, 1 - target], after.images[:, 1 - target])
    assert torch.equal(before.mask, after.mask)
    assert not torch.equal(before.images[:, target], after.images[:, target])


@DIRECTIONS
def test_the_mask_is_that_of_the_source(sample, target):
    batch = make_batch(sample, [target] * 2, None)

    np.testing.assert_array_equal(batch.mask[:, 0] > 0, sample.masks[:, 1 - target])


@DIRECTIONS
def test_augmentation_leaves_the_target_as_it_is(sample, target):
    """It may be flipped, with everything else, but never disturbed."""
    plain = make_batch(sample, [target] * 2, None)
    flipped = set()
    for seed in range(6):
        augmented = make_batch(sample, [target] * 2, torch.Generator().manual_seed(seed))
        flip = not torch.equal(augmented.mask, plain.mask)
        expected = [t.flip(2) if flip else t for t in plain[:3]]
        assert torch.equal(augmented.images[:, target], expected[0][:, target])
        assert torch.equal(augmented.mask, expected[1])
        assert torch.equal(augmented.tissue, expected[2])
        assert not torch.equal(augmented.images[:, 1 - target], expected[0][:, 1 - target])
        flipped.add(flip)
    assert flipped == {True, False}


def test_augmented_sources_stay_in_range(sample):
    for seed in range(4):
        batch = make_batch(sample, [0, 1], torch.Generator().manual_seed(seed))
        assert torch.isfinite(batch.images).all()
        assert (batch.images.min(), batch.images.max() <= 1) == (-1, True)


def test_halving_keeps_the_scale(sample):
    batch = make_batch(sample, [0, 1], None)

    coarse = halved(batch)

    assert coarse.images.shape == (2, len(Modality), *(n // 2 for n in MODEL_GRID.shape))
    assert set(coarse.mask.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(coarse.images.mean(), batch.images.mean())
    torch.testing.assert_close(coarse.tissue.sum(1).mean(), batch.tissue.sum(1).mean())
    assert torch.equal(coarse.target, batch.target)
