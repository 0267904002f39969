import numpy as np
import pytest
from scipy import ndimage

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Volume
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.masking import brain_mask, grow, refine_mask, template_distance, volume_ml
from pds_bids.prep.quality import overlap
from pds_bids.prep.resampling import resample


def true_mask(head, truth):
    mask = resample(template_mask(), head.grid, np.linalg.inv(truth), space="native")
    return mask.like(mask.data > 0.5)


def test_first_mask_finds_the_brain(head, truth):
    mask = brain_mask(head)
    assert overlap(mask, truth) > 0.9


def test_refinement_removes_what_cannot_be_brain_and_fills_what_must_be(head, truth):
    first = true_mask(head, truth)
    first.data[22:28, 26:32, 20:26] = 0  # a lesion the histogram missed
    first.data[25, :, 38:] = 1  # a strand to the scalp
    refined = refine_mask(first, truth)
    assert refined.data[22:28, 26:32, 20:26].all()
    assert overlap(refined, truth) > overlap(first, truth)
    assert overlap(refined, truth) > 0.95


def test_distance_is_negative_inside(head, truth):
    inside = true_mask(head, truth).data > 0
    distance = template_distance(head, truth).data
    assert np.mean(distance[inside] < 0) > 0.97
    assert np.mean(distance[~inside] > 0) > 0.97


def test_grow():
    mask = template_mask()
    assert volume_ml(grow(mask, 4.0)) > 1.1 * volume_ml(mask)
    assert (grow(mask, 4.0).data >= mask.data).all()


def test_a_constant_volume_has_no_brain(head, tmp_path):
    with pytest.raises(ParticipantError, match="constant"):
        brain_mask(head.like(np.full(head.data.shape, 3.0)), tmp_path / "a.nii")


def test_noise_that_nobody_sees_does_not_move_the_first_mask(head):
    blurred = ndimage.gaussian_filter(head.data, 1.5)  # its edge passes through all intensities
    generator = np.random.default_rng(0)
    noisy = (head.like(blurred + generator.normal(0, 1, blurred.shape).astype(np.float32)) for _ in range(5))
    volumes = [volume_ml(brain_mask(volume)) for volume in noisy]
    assert max(volumes) / min(volumes) < 1.04


def test_air_around_the_head_does_not_move_the_first_mask(head):
    blurred = head.like(ndimage.gaussian_filter(head.data, 1.5))
    padded = Volume(np.pad(blurred.data, 24), blurred.affine, blurred.space)
    assert volume_ml(brain_mask(padded)) == pytest.approx(volume_ml(brain_mask(blurred)), rel=0.1)


def test_a_noisy_mean_has_much_the_same_mask(head):
    generator = np.random.default_rng(0)
    sd = head.data.max() / 10
    real, imaginary = generator.normal(0, sd, (2, *head.data.shape))
    noisy = brain_mask(head.like(np.hypot(head.data + real, imaginary).astype(np.float32))).data > 0
    clean = brain_mask(head).data > 0
    assert 2 * (noisy & clean).sum() / (noisy.sum() + clean.sum()) > 0.9
