from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pds_bids.core.modality import Modality
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.physics import tissue_properties
from pds_bids.simulation.protocol import Acquisition, random_acquisition
from pds_bids.simulation.weighting import magnetisation

RANGES = {
    Modality.BOLD: {"tr_ms": (600, 3000), "te_ms": (24, 35), "flip_deg": (50, 90), "dropout": (50, 350)},
    Modality.DWI: {"tr_ms": (4500, 12000), "te_ms": (65, 100), "b_value": (700, 2500), "dropout": (0, 0)},
}


@pytest.mark.parametrize("modality", Modality)
def test_protocols_stay_in_the_range_of_real_sites(modality, generator):
    scans = [random_acquisition(modality, generator) for _ in range(200)]

    for name, (low, high) in RANGES[modality].items():
        values = [getattr(scan, name) for scan in scans]
        assert low <= min(values) <= max(values) <= high, name
    assert {scan.shift_mm > 0 for scan in scans} == {True, False}, "both phase-encoding polarities"


def test_most_shells_are_near_1000(generator):
    b_values = torch.tensor([random_acquisition(Modality.DWI, generator).b_value for _ in range(400)])

    assert 0.65 < (b_values < 1300).float().mean() < 0.85


@pytest.mark.parametrize("modality", Modality)
def test_a_protocol_follows_from_its_seed(modality):
    first, second, third = (random_acquisition(modality, torch.Generator().manual_seed(s)) for s in (1, 1, 2))

    assert first == second != third


@pytest.fixture
def scan() -> Acquisition:
    return Acquisition((2.0, 2.0, 2.0), shift_mm=0, bias_sd=0, tr_ms=3000, te_ms=60, b_value=1000, inflow=1.2)


def relative(modality: Modality, scan: Acquisition) -> torch.Tensor:
    """Signal of every structure, with the properties of the table."""
    return magnetisation(modality, tissue_properties(), torch.arange(len(Structure)), scan)


def test_bold_is_relative_to_cortex_and_inflow_brightens_the_ventricles(scan):
    signal = relative(Modality.BOLD, scan)
    still = relative(Modality.BOLD, replace(scan, inflow=1.0))

    assert signal[Structure.CORTEX].item() == pytest.approx(1)
    assert (signal / still)[Structure.CSF].item() == pytest.approx(1.2)
    assert (signal / still)[Structure.SULCAL].item() == pytest.approx(1.0)


def test_trace_is_relative_to_cortex_without_weighting(scan):
    unweighted = relative(Modality.DWI, replace(scan, b_value=0.0))
    weighted = relative(Modality.DWI, scan)

    assert unweighted[Structure.CORTEX].item() == pytest.approx(1, rel=1e-4)
    assert (weighted[1:] < unweighted[1:]).all()
