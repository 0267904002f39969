"""Maps of the mean error, and the chart that shows them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np

from pds_bids.app import evaluationpage
from pds_bids.app.baselines import TEMPLATE
from pds_bids.app.errormaps import write_error_maps
from pds_bids.app.methods import MAIN, Case
from pds_bids.app.scoring import Subjects
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.training.data import PairBank


def test_maps_hold_the_mean_error_of_those_who_reach_a_voxel(
    bank: PairBank, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out, everybody = tmp_path / "held_out.json", Subjects(bank, range(len(bank)), [0, 1])
    charts = write_error_maps(everybody, checkpoint, out, tmp_path / "kept")

    cases = [Case.of(bank, row, 0) for row in range(len(bank))]
    expected = 100 * np.mean([np.abs(0.9 - case.truth) for case in cases], axis=0)
    image = nb.load(tmp_path / charts[0]["data"]["images"][TEMPLATE])
    found, mask = np.asarray(image.dataobj), cases[0].mask
    np.testing.assert_allclose(found[mask], expected[mask], atol=0.6)
    assert not found[~mask].any()
    assert set(charts[1]["data"]["images"]) == {TEMPLATE, MAIN}

    about = {"experiment": "evaluate", "title": "t", "findings": [], "tables": {}, "charts": charts}
    drawn = list(evaluationpage.charts_of(about, out))
    assert "median   0" in drawn[0].svg
    assert "SYNTHETIC" not in drawn[0].svg
