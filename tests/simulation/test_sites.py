from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pds_bids.core.modality import Modality
from pds_bids.simulation.sites import SITES

PROTOCOLS = [
    pytest.param(site.protocols[modality], id=f"{site.name}-{modality}")
    for site in SITES.values()
    for modality in Modality
]
OASIS_BOLD = SITES["oasis"].protocols[Modality.BOLD]


def test_sites_have_their_names():
    assert list(SITES) == ["oasis", "adni", "ppmi", "hospital"]
    assert all(site.name == name for name, site in SITES.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_brain_fits_and_slices_are_timed(protocol):
    extent = np.array(protocol.shape) * protocol.voxel_mm

    assert (extent >= [200, 200, 138]).all()
    assert len(protocol.slice_times_s) == protocol.shape[2]
    assert 0 == protocol.slice_times_s.min() <= protocol.slice_times_s.max() < protocol.tr_s


def test_signs_of_the_phase_direction_differ_between_sites_and_modalities():
    assert {p.values[0].phase_direction for p in PROTOCOLS} >= {"j", "j-"}
    assert replace(OASIS_BOLD, phase_direction="i-").phase_sign == -1
    assert replace(OASIS_BOLD, phase_direction="i-").phase_axis == 0


def test_slices_of_one_shot_share_their_time():
    times = replace(OASIS_BOLD, multiband=3).slice_times_s

    assert len(np.unique(times)) == 12
    assert (times[:12] == times[12:24]).all()


@pytest.mark.parametrize("site", SITES.values(), ids=lambda site: site.name)
def test_unweighted_volumes_are_interleaved(site):
    protocol = site.protocols[Modality.DWI]

    assert not protocol.weighted[0]
    assert (~protocol.weighted).sum() == protocol.n_b0
    assert protocol.weighted[-1]


@pytest.mark.parametrize("modality", Modality)
def test_a_site_always_scans_alike_and_unlike_the_others(modality):
    scans = {name: site.acquisition(modality) for name, site in SITES.items()}

    assert all(SITES[name].acquisition(modality) == scan for name, scan in scans.items())
    assert len({scan.gamma for scan in scans.values()}) == len(SITES)
    oasis, protocol = scans["oasis"], SITES["oasis"].protocols[modality]
    assert oasis.fwhm_mm == protocol.voxel_mm
    assert oasis.te_ms == pytest.approx(1000 * protocol.te_s)
    assert oasis.n_volumes == protocol.n_volumes - protocol.n_b0
    assert oasis.shift_mm * protocol.phase_sign > 0
    assert oasis.b_value == protocol.b_value
