"""What a visit hands from room to room, and what it warns of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.app.visit import unusual_source
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.prep.intensity import IntensityScale
from pds_bids.synthesis.result import Synthesised, SynthesisRecord
from pds_bids.training.data import model_units


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5e4))
def test_networks_see_at_work_what_they_saw_in_training(seed: int, loudness: float) -> None:
    random = np.random.default_rng(seed)
    mask = (random.permutation(210) < 101).reshape(5, 6, 7).astype(np.float32)  # odd: one middle value
    volume = Volume((loudness * random.gamma(2, size=mask.shape) * mask).astype(np.float32), np.eye(4))
    at_work = IntensityScale.fit(volume, volume.like(mask)).apply(volume)
    in_training = model_units(torch.from_numpy(volume.data), torch.from_numpy(mask))
    np.testing.assert_allclose(at_work.data, in_training.numpy(), rtol=0, atol=1e-6)


def synthesised(score: float, limit: float) -> Synthesised:
    nothing = Volume(np.zeros(MODEL_GRID.shape, np.float32), MODEL_GRID.affine, MODEL_SPACE)
    record = SynthesisRecord(
        "m", "1", "c0ffee", "nobody", Modality.BOLD, Modality.DWI, False, 0, None, 0, "cpu"
    )
    return Synthesised(nothing, nothing, None, score, limit, record)


@pytest.mark.parametrize(("score", "limit"), [(0.7, 1.1), (1.1, 1.1), (0.0, 0.0)])
def test_a_usual_source_brings_no_warning(score: float, limit: float) -> None:
    assert unusual_source(synthesised(score, limit)) == []


def test_an_unusual_source_brings_one_with_its_numbers() -> None:
    (warning,) = unusual_source(synthesised(2.25, 1.1))

    assert f"the acquired {Modality.BOLD.full_name} is unlike" in warning
    assert "(score 2.25, limit 1.10)" in warning
    assert Modality.DWI.full_name in warning
