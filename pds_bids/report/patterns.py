"""Values of regions over an anatomical image; nothing here touches the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pds_bids.core.volume import Volume
from pds_bids.report.sheet import HEADING_PX, Sheet
from pds_bids.report.slices import AXIAL, CORONAL, SAGITTAL, canonical, crop, cuts, foreground, montage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = "coolwarm"


def pattern_maps(
    anatomy: Volume, maps: Mapping[str, Volume], *, title: str, limit: float = 1.0, label: str
) -> Figure:
    """Signed maps below one another, on the same slices of one image.

    Parameters
    ----------
    anatomy
        Drawn in grey behind each map.
    maps
        Heading -> map on the grid of `anatomy`; NaN where there is no value.
    title
        Drawn as it is.
    limit
        Value of the last colour; minus it is the first one.
    label
        Meaning of the values.

    Raises
    ------
    GridMismatch
        If the grids differ.
    """
    for drawn in maps.values():
        anatomy.require(drawn)
    head = canonical(anatomy)
    brain = foreground(head)
    box = crop(brain, head.grid.voxel_mm)
    line = cuts(head, box, AXIAL, 4) + cuts(head, box, CORONAL, 2) + cuts(head, box, SAGITTAL, 1)
    sheet = Sheet(title, montage(head, box, [line] * len(maps), heading=HEADING_PX))
    sheet.paint([head.like(head.data / np.percentile(head.data[brain], 99.5))] * len(maps))
    # 0 is the middle colour; `canonical` would fill what has no value
    coloured = [_reordered(m.like((m.data / limit + 1) / 2)) for m in maps.values()]
    sheet.paint(coloured, COLOURS, missing="none")
    sheet.annotate([False] * len(maps), list(maps))
    sheet.footer((-limit, limit), COLOURS, label)
    return sheet.figure


def _reordered(values: Volume) -> Volume:
    """`canonical`, but NaN stay NaN."""
    known = np.isfinite(values.data)
    there, filled = canonical(values.like(known)), canonical(values)
    return filled.like(np.where(there.data > 0, filled.data, np.nan))
