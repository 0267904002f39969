"""Images that another pipeline made: taken as they are, or refused by name."""

from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.prep.reference import load_reference

pytestmark = pytest.mark.slow

AFFINE = np.diag([-4.0, 4, 4, 1])
SHAPE = (45, 52, 42)


def ball(radius: float) -> np.ndarray:
    centred = [np.arange(n) - n / 2 for n in SHAPE]
    return np.sqrt(sum(axis**2 for axis in np.meshgrid(*centred, indexing="ij"))) < radius


@pytest.fixture
def saved(tmp_path):
    def save(name, data, affine=AFFINE):
        path = tmp_path / f"{name}.nii.gz"
        nb.Nifti1Image(data.astype(np.float32), affine).to_filename(path)
        return path

    return save


@pytest.fixture
def head(saved):
    noise = np.random.default_rng(0).normal(0, 5, SHAPE)
    return saved("boldref", 1000 * ball(17) + noise)


def test_the_image_and_its_mask_keep_their_grid(head, saved):
    mask = saved("mask", ball(17))

    reduced = load_reference(head, mask, {"reused_from": "fmriprep"}, PrepConfig())

    np.testing.assert_array_equal(reduced.volume.affine, AFFINE)
    np.testing.assert_array_equal(reduced.mask.data, ball(17))
    assert reduced.volume.data.min() >= 0
    inside = reduced.volume.data[ball(16)]
    assert inside.std() < 0.05 * inside.mean()
    assert reduced.facts == {"reused_from": "fmriprep", "n_volumes": 1, "n_used": 1}
    assert reduced.warnings == ()


@pytest.mark.parametrize(
    ("radius", "affine", "said"),
    [(17, np.diag([-4.0, 4, 5, 1]), "does not fit"), (2, AFFINE, "does not fit"), (0, AFFINE, "constant")],
)
def test_a_mask_that_is_none_is_left_out(head, saved, radius, affine, said):
    reduced = load_reference(head, saved("mask", ball(radius), affine), {}, PrepConfig())

    assert reduced.mask is None
    assert said in reduced.warnings[0]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (np.zeros(SHAPE), "constant"),
        (np.zeros((*SHAPE, 2)), "a 3D image is needed"),
        (np.full(SHAPE, np.nan), "NaN"),
    ],
)
def test_what_is_no_image_of_a_head_is_refused(saved, data, fault):
    with pytest.raises(ParticipantError, match=fault):
        load_reference(saved("boldref", data), None, {}, PrepConfig())
