from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.fluctuations import FLUCTUATIONS, fluctuations
from pds_bids.simulation.sites import SITES

PROTOCOL = SITES["oasis"].protocols[Modality.BOLD]


def test_patterns_stay_where_they_belong(phantom, generator):
    patterns, courses = fluctuations(phantom, PROTOCOL, generator)
    resting = patterns[: FLUCTUATIONS["resting"].n_patterns]
    middle = tuple(n // 2 for n in resting.shape[1:])

    assert len(patterns) == len(courses) == sum(kind.n_patterns for kind in FLUCTUATIONS.values())
    assert courses.shape[1:] == (PROTOCOL.n_volumes, PROTOCOL.shape[2])
    assert phantom[tuple(2 * m for m in middle)] == Structure.CSF
    assert resting[(slice(None), *middle)].abs().max() == 0
    assert resting.abs().max() > 0.5


def test_courses_have_their_size_and_band(phantom, generator):
    long = replace(PROTOCOL, n_volumes=400, tr_s=1.0, slice_order="ascending")
    courses = torch.cat([fluctuations(phantom, long, generator)[1][:5] for _ in range(4)])[..., 0]
    power = torch.fft.rfft(courses - courses.mean(1, keepdim=True)).abs().square().sum(0)
    hertz = torch.fft.rfftfreq(400)

    assert float(courses.std()) == pytest.approx(FLUCTUATIONS["resting"].sd, rel=0.15)
    assert power[hertz < 0.12].sum() > 0.95 * power.sum()


def test_slices_see_the_heart_at_their_own_time(phantom, generator):
    _, courses = fluctuations(phantom, PROTOCOL, generator)
    cardiac = courses[FLUCTUATIONS["resting"].n_patterns]

    assert cardiac[0].std() > 0.3 * FLUCTUATIONS["cardiac"].sd
