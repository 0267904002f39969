from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.simulation.gradients import bvecs_of, gradient_directions
from pds_bids.simulation.scanner import native_grid

ORIENTATIONS = ["LAS", "RAS", "LPS", "PSR", "RPS", "ASR", "SRA"]


@pytest.mark.parametrize("n", [6, 12, 24, 32])
def test_directions_are_well_spread(n):
    directions = gradient_directions(n)
    closest = np.abs(directions @ directions.T - 2 * np.eye(n)).max(where=~np.eye(n, dtype=bool), initial=0)

    assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
    assert np.linalg.eigvalsh(directions.T @ directions / n) == pytest.approx(1 / 3, abs=0.01)
    # no closer than three quarters of what caps of equal area would allow
    assert np.degrees(np.arccos(closest)) > 0.75 * np.degrees(2 * np.arccos(1 - 1 / n))


@given(st.sampled_from(ORIENTATIONS), st.floats(-30, 30), st.integers(0, 2**32 - 1))
def test_bvecs_lead_back_to_the_scanner(orientation, tilt, seed):
    affine = native_grid((4, 5, 6), (2.0, 2.5, 3.0), orientation, tilt).affine
    gradients = np.random.default_rng(seed).normal(size=(7, 3))

    bvecs = bvecs_of(gradients, affine)
    # FSL: flip x if the determinant is positive, then the image axes are those of the affine
    turned = bvecs.T * [-1 if np.linalg.det(affine) > 0 else 1, 1, 1]
    back = turned @ (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T

    assert back == pytest.approx(gradients)
