"""Contrasts measured in simulated native series against those of the signal equations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.disease import Condition
from pds_bids.simulation.fibres import fibre_directions
from pds_bids.simulation.head import Head, aged_anatomy
from pds_bids.simulation.physics import (
    TissueProperties,
    gre_signal,
    spin_echo_signal,
    tissue_properties,
    trace_signal,
)
from pds_bids.simulation.scanner import Pose, head_scale, native_grid, point_spread, random_pose, render
from pds_bids.simulation.series import ACQUIRE, UNSTEADY_VOLUMES
from pds_bids.simulation.sites import Protocol


@dataclass(frozen=True)
class Contrast:
    """An image to be had from a series, and the signal that it should show.

    Attributes
    ----------
    modality, protocol
        Of the series.
    volumes
        (T,) which of its volumes are averaged.
    signal
        The signal equation.
    """

    modality: Modality
    protocol: Protocol
    volumes: NDArray[np.bool_]
    signal: Callable[[TissueProperties], Tensor]


# Voxels small enough to lie in one structure; no coil that shades them, no motion that mixes them.
EVEN_AND_STILL: dict[str, Any] = {
    "shape": (112, 128, 104),
    "voxel_mm": (1.5, 1.5, 1.5),
    "orientation": "RAS",
    "bias_sd": 0.0,
    "motion_mm": 0.0,
}
BOLD = Protocol(**EVEN_AND_STILL, tr_s=3.0, te_s=0.030, flip_deg=90, n_volumes=13, snr=90)
DWI = Protocol(
    **EVEN_AND_STILL, tr_s=9.0, te_s=0.085, flip_deg=90, n_volumes=36, snr=28, b_value=1000, n_b0=6
)

CONTRASTS = {
    "BOLD": Contrast(
        Modality.BOLD,
        BOLD,
        np.arange(BOLD.n_volumes) >= UNSTEADY_VOLUMES,
        lambda tissue: gre_signal(tissue, tr_ms=3000, te_ms=30, flip_deg=90),
    ),
    "b0": Contrast(
        Modality.DWI, DWI, ~DWI.weighted, lambda tissue: spin_echo_signal(tissue, tr_ms=9000, te_ms=85)
    ),
    "powder b1000": Contrast(
        Modality.DWI,
        DWI,
        DWI.weighted,
        lambda tissue: trace_signal(tissue, tr_ms=9000, te_ms=85, b_value=1000),
    ),
}

COMPARED = (Structure.WHITE, Structure.CSF, Structure.PUTAMEN, Structure.PALLIDUM)

PURE = 0.95
"""Share of a voxel that one structure has to fill, counted with the point spread."""

TOLERANCE = 0.05


NEUTRAL = Condition(age=50.0, volume={}, md={}, fa={}, t2_star={})
"""Nobody's: every factor one."""


def contrast_table(anatomies: Sequence[Tensor], seed: int) -> list[tuple[str, ...]]:
    """Contrast of each structure with cortex in native series, mean of one head from each anatomy."""
    measured: dict[str, list[dict[Structure, float]]] = {name: [] for name in CONTRASTS}
    n_voxels: Counter[Structure] = Counter()
    for number, anatomy in enumerate(anatomies):
        head = neutral_head(anatomy, derived_seed(seed, number))
        generator = torch.Generator().manual_seed(derived_seed(seed, number, "scan"))
        pose = random_pose(generator, head_scale(generator))
        pure = pure_voxels(head, BOLD, pose)
        n_voxels.update({structure: int(where.sum()) for structure, where in pure.items()})
        scans = {c.modality: c.protocol for c in CONTRASTS.values()}
        series = {m: ACQUIRE[m](head, protocol, pose, generator).data for m, protocol in scans.items()}
        for name, contrast in CONTRASTS.items():
            image = series[contrast.modality][..., torch.from_numpy(contrast.volumes)].mean(-1)
            measured[name].append(
                {structure: float(image[where].mean()) for structure, where in pure.items()}
            )
    return _rows(measured, n_voxels)


def _rows(
    measured: Mapping[str, Sequence[Mapping[Structure, float]]], n_voxels: Mapping[Structure, int]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("contrast", "structure", "theoretical", "simulated", "ratio", "n_voxels", "within_5_percent")
    ]
    for name, contrast in CONTRASTS.items():
        signal = contrast.signal(tissue_properties())
        for structure in COMPARED:
            theoretical = float(signal[structure] / signal[Structure.CORTEX])
            simulated = float(np.mean([head[structure] / head[Structure.CORTEX] for head in measured[name]]))
            ratio = simulated / theoretical
            within = "yes" if abs(ratio - 1) <= TOLERANCE else "no"
            rows.append(
                (
                    name,
                    structure.name.lower(),
                    f"{theoretical:.3f}",
                    f"{simulated:.3f}",
                    f"{ratio:.3f}",
                    str(n_voxels[structure]),
                    within,
                )
            )
    return rows


def neutral_head(anatomy: Tensor, seed: int) -> Head:
    """A random variant of an anatomy whose tissue is that of the table, in a perfect field."""
    structures, regions = aged_anatomy(anatomy, NEUTRAL, torch.Generator().manual_seed(seed))
    tissue = tissue_properties().at(structures)
    return Head(structures, regions, tissue, fibre_directions(structures), torch.zeros(MODEL_GRID.shape))


def pure_voxels(head: Head, protocol: Protocol, pose: Pose) -> dict[Structure, Tensor]:
    """Native voxels that hold one structure alone, for cortex and those compared with it."""
    native = native_grid(protocol.shape, protocol.voxel_mm, protocol.orientation, protocol.tilt_deg)
    found = {}
    for structure in (Structure.CORTEX, *COMPARED):
        share = F.avg_pool3d((head.structures == structure)[None].float(), 2)
        seen = render(point_spread(share, native, pose), MODEL_GRID, native, pose.to_model)[0]
        found[structure] = seen > PURE
    return found
