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


def seeded(seed: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + row) for row in range(2)]


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
        return make_batch(from_sample, [target] * 2, seeded(3) if augmented else None)

    before, after = batch(sample), batch(sample._replace(images=images, masks=masks))

    assert torch.equal(before.images[:, 1 - target], after.images[:, 1 - target])
    assert torch.equal(before.mask, after.mask)
    assert not torch.equal(before.images[:, target], after.images[:, target])


@DIRECTIONS
def test_the_mask_is_that_of_the_source(sample, target):
    batch = make_batch(sample, [target] * 2, None)

    np.testing.assert_array_equal(batch.mask[:, 0] > 0, sample.masks[:, 1 - target])


@DIRECTIONS
def test_a_target_that_ends_inside_the_brain_hides_its_rest_in_training_alone(sample, target):
    """Nobody knows it: no loss may count it, and a network in use is shown its whole source."""
    images, half = sample.images.copy(), MODEL_GRID.shape[2] // 2
    images[:, 1, target, :, :, :half] = np.nan
    cut, whole = sample._replace(images=images), make_batch(sample, [target] * 2, None)

    used, trained = make_batch(cut, [target] * 2, None), make_batch(cut, [target] * 2, seeded(3))

    assert torch.equal(used.mask, whole.mask)
    assert torch.equal(used.images[:, 1 - target], whole.images[:, 1 - target])
    assert torch.equal(used.known[..., half:], whole.mask[..., half:])
    for batch in (used, trained):
        assert not batch.known[..., :half].any()
        assert (batch.images[:, target][batch.known[:, 0] == 0] == -1).all()
        assert batch.images.isfinite().all()
        for row in range(2):
            assert batch.images[row, target][batch.known[row, 0] > 0].median().abs() < 1e-6
    assert torch.equal(trained.mask, trained.known)


@DIRECTIONS
def test_augmentation_leaves_the_target_as_it_is(sample, target):
    """It may be flipped, with everything else, but never disturbed."""
    plain = make_batch(sample, [target] * 2, None)
    flipped = set()
    for seed in range(6):
        augmented = make_batch(sample, [target] * 2, seeded(seed))
        for row, flip in enumerate(augmented.flipped.tolist()):
            images, mask, tissue = (t[row].flip(1) if flip else t[row] for t in plain[:3])
            assert torch.equal(augmented.images[row, target], images[target])
            assert torch.equal(augmented.mask[row], mask)
            assert torch.equal(augmented.tissue[row], tissue)
            assert not torch.equal(augmented.images[row, 1 - target], images[1 - target])
            flipped.add(flip)
    assert flipped == {True, False}


def test_augmented_sources_stay_in_range(sample):
    for seed in range(4):
        batch = make_batch(sample, [0, 1], seeded(seed))
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


def test_the_t1w_is_scaled_in_the_mask_of_the_source(sample):
    batch = make_batch(sample, [0, 1], None)

    assert batch.has_t1w.all()
    for row in range(2):
        inside = batch.mask[row, 0] > 0
        assert batch.t1w[row, 0][inside].median().abs() < 1e-6
        assert (batch.t1w[row, 0][~inside] == -1).all()


def test_zeros_are_no_t1w(sample):
    batch = make_batch(sample._replace(t1w=0 * sample.t1w), [0, 1], None)

    assert not batch.has_t1w.any()
    assert (batch.t1w == -1).all()


def test_half_of_the_t1w_are_dropped_in_training(sample):
    batches = [make_batch(sample, [0, 1], seeded(10 * seed)) for seed in range(8)]

    for batch in batches:
        for has, t1w in zip(batch.has_t1w, batch.t1w, strict=True):
            assert has == bool((t1w > -1).any())
    assert 3 <= sum(int(batch.has_t1w.sum()) for batch in batches) <= 13


def test_rows_follow_from_their_own_generators(sample):
    together, alone = make_batch(sample, [0, 1], seeded(3)), seeded(3)[1:]

    second = make_batch(Sample(*(array[1:] for array in sample)), [1], alone)

    for both, one in zip(together, second, strict=True):
        assert torch.equal(both[1:], one)
