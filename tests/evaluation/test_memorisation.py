from __future__ import annotations

import numpy as np
import pytest

from pds_bids.evaluation.memorisation import correlations, neighbours

TRAINING = np.random.default_rng(0).normal(size=(60, 400))
STRANGERS = np.random.default_rng(1).normal(size=(20, 400))


def test_a_copy_stands_out_and_a_stranger_does_not():
    copies = TRAINING[:20] + 0.5 * STRANGERS
    copied, strange = neighbours(copies, TRAINING), neighbours(STRANGERS, TRAINING)
    assert copied.nearest.min() > 0.8
    assert strange.nearest.max() < 0.3
    assert copied.prominence.min() > 5 > strange.prominence.max()


def test_noise_lowers_the_correlation_and_not_the_prominence():
    shared = np.random.default_rng(2).normal(size=(60, 1))
    training = TRAINING[0] * shared + 0.1 * TRAINING
    noise = np.random.default_rng(3).normal(size=(20, 400))
    noise -= noise @ np.linalg.pinv(training) @ training
    clean, noisy = neighbours(STRANGERS, training), neighbours(STRANGERS + 2 * noise, training)
    assert (noisy.nearest < 0.7 * clean.nearest).all()
    np.testing.assert_allclose(noisy.prominence, clean.prominence)


def test_loudness_does_not_count():
    np.testing.assert_allclose(correlations(7 * STRANGERS, TRAINING), correlations(STRANGERS, TRAINING))


def test_who_equals_the_template_is_like_nobody():
    nobody = neighbours(np.zeros((1, 400)), TRAINING)
    assert (*nobody.nearest, *nobody.prominence) == pytest.approx((0, 0))
