"""What a visit warns of."""

from __future__ import annotations

import numpy as np
import pytest

from pds_bids.app.visit import unusual_source
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.synthesis.pipeline import Synthesised, SynthesisRecord


def synthesised(score: float, limit: float) -> Synthesised:
    nothing = Volume(np.zeros(MODEL_GRID.shape, np.float32), MODEL_GRID.affine, MODEL_SPACE)
    record = SynthesisRecord("m", "1", "c0ffee", "nobody", Modality.BOLD, Modality.DWI, 0, None, 0, "cpu")
    return Synthesised(nothing, nothing, None, score, limit, record)


@pytest.mark.parametrize(("score", "limit"), [(0.7, 1.1), (1.1, 1.1), (0.0, 0.0)])
def test_a_usual_source_brings_no_warning(score: float, limit: float) -> None:
    assert unusual_source(synthesised(score, limit)) == []


def test_an_unusual_source_brings_one_with_its_numbers() -> None:
    (warning,) = unusual_source(synthesised(2.25, 1.1))

    assert f"the acquired {Modality.BOLD.full_name} is unlike" in warning
    assert "(score 2.25, limit 1.10)" in warning
    assert Modality.DWI.full_name in warning
