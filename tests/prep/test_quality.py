from pathlib import Path

import numpy as np
import pytest

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Grid
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.quality import (
    affine_quality,
    beyond_limits,
    coverage,
    require_success,
    signal_to_noise,
)

GOOD = {
    "dice": 0.94, "coverage": 0.99, "scale_max": 1.2, "scale_min": 1.05, "shear": 0.05, "determinant": 1.4,
}  # fmt: skip


def test_the_template_fits_itself():
    quality = affine_quality(template(), template_mask(), np.eye(4))
    assert quality["dice"] == 1.0
    assert quality["coverage"] == 1.0
    assert quality["scale_min"] == pytest.approx(1.0)
    assert quality["shear"] == pytest.approx(0.0, abs=1e-6)


def test_the_truth_is_read_off(head, truth):
    quality = affine_quality(head, head.like(head.data > 300), truth)
    assert quality["scale_max"] == pytest.approx(1.08)
    assert quality["scale_min"] == pytest.approx(1.08)
    assert quality["determinant"] == pytest.approx(1.08**3)
    assert quality["dice"] > 0.9


def test_coverage_of_half_a_head(head, truth):
    assert coverage(head, truth) > 0.99
    z = slice(22, 44)
    affine = head.affine.copy()
    affine[2, 3] += 4.0 * 22
    half = type(head)(head.data[:, :, z], affine)
    share = coverage(half, truth)
    assert 0.3 < share < 0.8
    padded = head.like(np.where(np.arange(44) >= 22, head.data, 0))
    assert coverage(padded, truth) == pytest.approx(share)  # slices of zeros are no field of view
    assert Grid(half.data.shape, affine).shape[2] == 22


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"coverage": 0.41}, "covers 41% of the template brain"),
        ({"scale_max": 1.9, "scale_min": 1.0}, "only part of the brain.*1.90 times"),
        ({"scale_max": 1.6, "scale_min": 1.5}, "implausible scales"),
        ({"scale_min": 0.6, "scale_max": 0.7}, "implausible scales"),
        ({"determinant": -1.2}, "implausible scales"),
        ({"dice": 0.5}, r"failed \(Dice 0.50\)"),
    ],
)
def test_every_failure_is_named(change, fault):
    require_success(Path("a.nii"), GOOD)
    with pytest.raises(ParticipantError, match=fault):
        require_success(Path("a.nii"), GOOD | change)


@pytest.mark.parametrize("sigma", [20.0, 100.0])
def test_noise_is_found_in_the_brain_itself(head, sigma):
    brain = head.like(1000.0 * (head.data > 100))
    mask = head.like(head.data > 100)
    grain = np.random.default_rng(0).normal(0, sigma, head.data.shape)
    assert signal_to_noise(brain.like(brain.data + grain), mask) == pytest.approx(1000 / sigma, rel=0.05)


def test_too_small_a_brain_has_no_noise(head):
    point = np.zeros(head.data.shape)
    point[20, 20, 20] = 1
    assert signal_to_noise(head, head.like(point)) is None


@pytest.mark.parametrize(
    ("measure", "value", "said"),
    [
        ("dice", 0.85, "Dice 0.85"),
        ("coverage", 0.8, "covers 80%"),
        ("jacobian_min", -0.1, "shrinks"),
        ("jacobian_max", 7.0, "stretches"),
        ("max_displacement_mm", 4.2, "4.2 mm"),
        ("snr", 4.0, "4.0 times"),
    ],
)
def test_a_measure_beyond_its_limits_warns(measure, value, said):
    sound = {"dice": 0.95, "coverage": 1.0, "jacobian_min": 0.5, "jacobian_max": 2.0}
    facts = {"max_displacement_mm": 0.4, "snr": 30.0, "alignment": sound}
    assert beyond_limits(facts) == ()
    (warning,) = beyond_limits(facts | {"alignment": sound | {measure: value}})
    assert said in warning
