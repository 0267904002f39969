"""Lesions that training never saw: an old infarct, and the diffuse disease of small vessels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.physics import TissueProperties, tissue_properties
from pds_bids.simulation.smoothing import smooth_noise

CEREBRAL = (Structure.CORTEX, Structure.WHITE, Structure.PUTAMEN, Structure.CAUDATE, Structure.THALAMUS)
"""What an infarct may take."""

CAVITY = 0.7
"""Of an infarct's radius: fluid inside, gliosis around."""

REACH_MM = 16
"""From the ventricles, over which small-vessel disease thins out by half or so."""


def with_infarct(
    structures: Tensor, tissue: TissueProperties, generator: torch.Generator, *, diameter_mm: float
) -> tuple[Tensor, TissueProperties]:
    """An old infarct somewhere in cerebral white matter: a cavity of fluid with a rim of gliosis.

    Parameters
    ----------
    structures, tissue
        (160, 192, 176) maps at 1 mm; they are not changed.
    generator
        Says where and of what shape, whatever the size.
    diameter_mm
        About; the outline is irregular, and what is no cerebral tissue is spared.
    """
    white = (structures == Structure.WHITE).nonzero()
    number = int(torch.rand((), generator=generator, device=generator.device) * len(white))
    axes = (
        torch.arange(n, device=structures.device) - c for n, c in zip(FINE_SHAPE, white[number], strict=True)
    )
    x, y, z = axes
    away_mm = (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2).float().sqrt()
    outline = 1 + 0.15 * smooth_noise(FINE_SHAPE, 16, 1, generator)[0, 0]
    depth = away_mm / (diameter_mm / 2 * outline).clamp(min=1e-6)
    taken = torch.isin(structures, structures.new_tensor(CEREBRAL)) & (depth < 1)
    structures, tissue = replaced(structures, tissue, taken, Structure.LESION)
    return replaced(structures, tissue, taken & (depth < CAVITY), Structure.CSF)


def with_small_vessel_disease(
    structures: Tensor, tissue: TissueProperties, generator: torch.Generator, *, share: float
) -> tuple[Tensor, TissueProperties]:
    """Diffuse hyperintensities: a share of the white matter, mostly around the ventricles.

    Parameters are those of `with_infarct`; `share` is in (0, 1).
    """
    white = structures == Structure.WHITE
    fluid = F.max_pool3d((structures == Structure.CSF).float()[None, None], 5, 4, 2)
    near = F.avg_pool3d(fluid, 2 * (REACH_MM // 4) + 1, 1, REACH_MM // 4)
    near = F.interpolate(near, size=FINE_SHAPE, mode="trilinear")[0, 0]
    patches = smooth_noise(FINE_SHAPE, 24, 1, generator)[0, 0]
    burden = near / near[white].std().clamp(min=1e-6) + patches
    count = max(1, round(share * int(white.sum())))
    least = burden[white].topk(count).values[-1]
    return replaced(structures, tissue, white & (burden >= least), Structure.LESION)


def replaced(
    structures: Tensor, tissue: TissueProperties, where: Tensor, by: Structure
) -> tuple[Tensor, TissueProperties]:
    """Copies in which another structure, as the table has it, is where a (160, 192, 176) mask is true."""
    table = vars(tissue_properties())
    maps = {name: values.masked_fill(where, float(table[name][by])) for name, values in vars(tissue).items()}
    return structures.masked_fill(where, int(by)), TissueProperties(**maps)
