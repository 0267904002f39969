"""What `--evaluate` reports about candidates whose errors are known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from pds_bids.app.scores import METRICS, Candidate, Reference, score
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume


@pytest.fixture
def reference() -> Reference:
    volume = Volume(np.ones((20, 20, 20), np.float32), np.eye(4))
    return Reference(volume, volume)


@pytest.mark.parametrize("shrunk", [1.0, 0.4])
def test_an_sd_that_is_too_small_shows_in_the_coverage(reference: Reference, shrunk: float) -> None:
    true_sd, width = 0.1, NormalDist().inv_cdf(0.9)
    error = np.random.default_rng(0).normal(0, true_sd, reference.volume.data.shape)
    estimate = reference.volume.like(reference.volume.data + error)
    sd = estimate.like(np.full(error.shape, shrunk * true_sd))
    (row,) = score(reference, [Candidate("pds", estimate, sd)], Modality.DWI)
    assert row["coverage_80"] == pytest.approx(2 * NormalDist().cdf(shrunk * width) - 1, abs=0.02)


def test_one_row_per_candidate_and_no_coverage_without_an_sd(reference: Reference) -> None:
    candidates = [
        Candidate("same", reference.volume),
        Candidate("half", reference.volume.like(reference.volume.data / 2)),
    ]
    same, half = score(reference, candidates, Modality.BOLD)
    assert (same["target"], same["method"], same["mae"], same["n_voxels"]) == ("bold", "same", 0, 8000)
    assert (half["method"], half["mae"], half["psnr_db"]) == ("half", 0.5, 12.04)
    assert same["coverage_80"] is half["coverage_80"] is None
    assert set(METRICS) <= set(same)
    assert same["sharpness"] is None  # nothing to be as sharp as


def test_the_uncertainty_is_scored_at_both_levels_and_as_a_whole(reference: Reference) -> None:
    error = np.random.default_rng(0).normal(0, 0.1, reference.volume.data.shape)
    estimate = reference.volume.like(reference.volume.data + error)
    honest, unsure = (estimate.like(np.full(error.shape, sd)) for sd in (0.1, 0.4))
    rows = score(
        reference, [Candidate("a", estimate, honest), Candidate("b", estimate, unsure)], Modality.DWI
    )
    assert rows[0]["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert 0 < rows[0]["crps"] < rows[1]["crps"]
