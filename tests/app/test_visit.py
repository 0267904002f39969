"""What one visit hands from room to room."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import Volume
from pds_bids.prep.intensity import IntensityScale
from pds_bids.training.data import model_units


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5e4))
def test_networks_see_at_work_what_they_saw_in_training(seed: int, loudness: float) -> None:
    random = np.random.default_rng(seed)
    mask = (random.permutation(210) < 101).reshape(5, 6, 7).astype(np.float32)  # odd: one middle value
    volume = Volume((loudness * random.gamma(2, size=mask.shape) * mask).astype(np.float32), np.eye(4))
    at_work = IntensityScale.fit(volume, volume.like(mask)).apply(volume)
    in_training = model_units(torch.from_numpy(volume.data), torch.from_numpy(mask))
    np.testing.assert_allclose(at_work.data, in_training.numpy(), rtol=0, atol=1e-6)
