"""The fluid between the gyri and around the brain, which label maps hand to the cortex or leave out."""

from __future__ import annotations

import torch
from torch import Tensor

from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.smoothing import smooth_noise

CORTEX_MM = (2.0, 4.0)
"""Between which a brain's mean distance from white matter to pia is drawn (Fischl & Dale 2000, widened)."""

RIM_MM = (0.0, 3.0)
"""The same for the subarachnoid space over the gyri [R]."""

MM_PER_YEAR = 0.03
"""By how much the space widens after the age of 40, and cortex withdraws [R]."""

GROWTH_MM = (-0.5, 1.6)
"""The same for how far cortex reaches into the fluid of a label map: its sulci are too wide for the young."""

RANGES_MM = (CORTEX_MM, RIM_MM, GROWTH_MM)

REACH_MM = 6
"""Distances are measured up to here."""

INNER = (
    Structure.WHITE,
    Structure.CALLOSUM,
    Structure.PUTAMEN,
    Structure.LESION,
    Structure.HIPPOCAMPUS,
    Structure.AMYGDALA,
)
"""What cortex lies upon."""

OUTSIDE = (Structure.AIR, Structure.SOFT)


def is_any(structures: Tensor, members: tuple[Structure, ...]) -> Tensor:
    """Where a voxel is one of several structures; bool, the shape of `structures`."""
    table = torch.zeros(len(Structure), dtype=torch.bool, device=structures.device)
    table[list(members)] = True
    return table[structures.int()]


def distance_mm(inside: Tensor) -> Tensor:
    """Euclidean distance to the nearest true voxel of (X, Y, Z) at 1 mm, at most `REACH_MM`.

    Squared distances separate: along one axis after the other, each voxel takes the least of what its
    neighbours have plus the square of how far away they are (Felzenszwalb & Huttenlocher 2012).

    Examples
    --------
    >>> distance_mm(torch.tensor([[[True, False, False, False]]])).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    squared = torch.where(inside, 0.0, float(REACH_MM**2))
    for axis, n in enumerate(squared.shape):
        nearest = squared.clone()
        for step in range(1, min(REACH_MM, n)):
            for here, there in ((step, 0), (0, step)):
                target = nearest.narrow(axis, here, n - step)
                torch.minimum(target, squared.narrow(axis, there, n - step) + step**2, out=target)
        squared = nearest
    return squared.sqrt()


def with_sulci(structures: Tensor, generator: torch.Generator, age: float | None = None) -> Tensor:
    """Cortex far from white matter, and what lies just outside the brain, become `SULCAL`; wide sulci narrow.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 at 1 mm.
    age
        In years, if anybody's: the space around the brain widens with it.

    Returns
    -------
    Tensor
        (160, 192, 176) uint8; nothing but cortex, `SULCAL` and what lies outside has changed.
    """
    shape = (structures.shape[0], structures.shape[1], structures.shape[2])
    drawn = torch.rand(3, generator=generator, device=generator.device).tolist()
    thickness, width, growth = (
        low + (high - low) * share for (low, high), share in zip(RANGES_MM, drawn, strict=True)
    )
    years = max((age or 40.0) - 40.0, 0.0)
    local = smooth_noise(shape, 10, 2, generator)[0]

    fluid = structures == Structure.SULCAL
    from_brain = distance_mm((structures > Structure.SOFT) & ~fluid)
    from_white = distance_mm(is_any(structures, INNER))
    sulcus = (structures == Structure.CORTEX) & (from_white > thickness + 0.5 * local[0])
    outside = is_any(structures, OUTSIDE)
    rim = outside & (from_brain < width + MM_PER_YEAR * years + 0.7 * local[1])
    grown = fluid & (from_brain < growth - MM_PER_YEAR * years + 0.5 * local[0])
    structures = torch.where(grown, int(Structure.CORTEX), structures)
    return torch.where(sulcus | rim, int(Structure.SULCAL), structures).to(torch.uint8)
