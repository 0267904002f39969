"""The signal that a protocol gives each structure, relative to cortex."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.physics import (
    TissueProperties,
    gre_signal,
    mprage_signal,
    spin_echo_signal,
    tissue_properties,
    trace_signal,
)
from pds_bids.simulation.protocol import Acquisition


def magnetisation(
    modality: Modality, tissue: TissueProperties, structures: Tensor, scan: Acquisition
) -> Tensor:
    """Signal relative to that of average cortex without diffusion weighting.

    Parameters
    ----------
    tissue
        Any shape: one value per structure, or a map.
    structures
        `Structure` of each value, the same shape.
    """
    return SIGNALS[modality](tissue, structures, scan)


def _bold_signal(tissue: TissueProperties, structures: Tensor, scan: Acquisition) -> Tensor:
    def signal(of: TissueProperties) -> Tensor:
        return gre_signal(of, scan.tr_ms, scan.te_ms, scan.flip_deg)

    inflow = torch.where(structures == Structure.CSF, scan.inflow, 1.0)
    return signal(tissue) * inflow / float(signal(tissue_properties())[Structure.CORTEX])


def _trace_signal(tissue: TissueProperties, structures: Tensor, scan: Acquisition) -> Tensor:
    cortex = spin_echo_signal(tissue_properties(), scan.tr_ms, scan.te_ms)[Structure.CORTEX]
    return trace_signal(tissue, scan.tr_ms, scan.te_ms, scan.b_value) / float(cortex)


SIGNALS: Mapping[Modality, Callable[[TissueProperties, Tensor, Acquisition], Tensor]] = {
    Modality.BOLD: _bold_signal,
    Modality.DWI: _trace_signal,
}


def t1w_magnetisation(tissue: TissueProperties, scan: Acquisition) -> Tensor:
    """T1-weighted signal relative to that of average cortex."""

    def signal(of: TissueProperties) -> Tensor:
        return mprage_signal(of, scan.tr_ms, scan.ti_ms, scan.te_ms, scan.flip_deg)

    return signal(tissue) / float(signal(tissue_properties())[Structure.CORTEX])
