"""Volume -> matplotlib figure; nothing here touches the disk or matplotlib's global state.

A figure of a synthesised volume carries the word SYNTHETIC inside every slice, so that no part of it can be
cut out and taken for an acquired image. Every figure states its convention and its intensity window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Volume
from pds_bids.report.sheet import HEADING_PX, Sheet
from pds_bids.report.slices import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Montage,
    canonical,
    crop,
    cuts,
    foreground,
    montage,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One line of a comparison."""

    label: str
    volume: Volume
    synthetic: bool


def mosaic(
    volume: Volume,
    *,
    title: str,
    synthetic: bool,
    mask: Volume | None = None,
    vmin: float = 0.0,
    vmax: float | None = None,
    cmap: str = "gray",
    label: str | None = None,
    n_slices: int = 7,
) -> Figure:
    """Axial, coronal and sagittal slices of one volume.

    Parameters
    ----------
    volume
        Any grid and orientation.
    title
        Drawn as it is.
    synthetic
        Writes SYNTHETIC into every slice.
    mask
        Brain mask on the grid of `volume`: the picture is cropped to it and the window taken from it. Figures
        drawn with the same mask show the same slices.
    vmin, vmax
        Intensity window; `vmax` defaults to the 99.5th percentile inside the mask.
    cmap
        Name of a matplotlib colour map.
    label
        Meaning and unit of the intensities; draws a colour bar.
    n_slices
        Slices in each plane.

    Raises
    ------
    GridMismatch
        If the mask lies on another grid.
    """
    head, brain = _canonical_pair(volume, mask)
    layout = _three_planes(head, brain, n_slices)
    window = _window(head, brain, vmin, vmax)
    sheet = Sheet(title, layout)
    sheet.paint([_scaled(head, window)] * 3, cmap)
    sheet.annotate([synthetic] * 3)
    sheet.footer(window, cmap, label)
    return sheet.figure


def overlay(
    volume: Volume,
    outlined: Volume,
    *,
    title: str,
    synthetic: bool = False,
    kind: Literal["contour", "edges"] = "contour",
    n_slices: int = 7,
) -> Figure:
    """Outlines of a mask, or edges of a template, over a volume.

    Parameters
    ----------
    volume
        Any grid and orientation.
    outlined
        On the same grid: a mask (`kind="contour"`) or the image whose edges are drawn (`kind="edges"`).
    title
        Drawn as it is.
    synthetic
        `volume` is synthesised.
    n_slices
        Slices in each plane.

    Raises
    ------
    GridMismatch
        If the grids differ.
    """
    head, brain = _canonical_pair(volume, outlined)
    layout = _three_planes(head, brain, n_slices)
    window = _window(head, brain, 0.0, None)
    sheet = Sheet(title, layout)
    sheet.paint([_scaled(head, window)] * 3)
    find, colour = _OUTLINE[kind]
    sheet.outline([find(canonical(outlined))] * 3, colour)
    sheet.annotate([synthetic] * 3)
    sheet.footer(window)
    return sheet.figure


def comparison(
    rows: Sequence[Row],
    *,
    title: str,
    mask: Volume | None = None,
    window: tuple[float, float] | None = None,
    cmap: str = "gray",
    label: str | None = None,
) -> Figure:
    """Volumes below one another, on the same slices.

    Parameters
    ----------
    rows
        Volumes on one grid, with a label each.
    title
        Drawn as it is.
    mask
        Brain mask on that grid; the first volume's foreground where absent.
    window
        Intensities of all shown as the ends of `cmap`, with a colour bar; None shows each in its own.
    label
        Quantity and unit on the colour bar.

    Raises
    ------
    GridMismatch
        If the grids differ.
    """
    first, brain = _canonical_pair(rows[0].volume, mask)
    for row in rows:
        rows[0].volume.require(row.volume)
    heads = [canonical(row.volume) for row in rows]
    box = crop(brain, first.grid.voxel_mm)
    line = cuts(first, box, AXIAL, 4) + cuts(first, box, CORONAL, 2) + cuts(first, box, SAGITTAL, 1)
    layout = montage(first, box, [line] * len(rows), heading=HEADING_PX)
    sheet = Sheet(title, layout)
    sheet.paint([_scaled(head, window or _window(head, brain, 0.0, None)) for head in heads], cmap)
    sheet.annotate([row.synthetic for row in rows], [row.label for row in rows])
    sheet.footer(window, cmap, label)
    return sheet.figure


def _canonical_pair(volume: Volume, mask: Volume | None) -> tuple[Volume, NDArray[np.bool_]]:
    """The volume in RAS+ order, and where the brain (or, without a mask, the head) is in it."""
    head = canonical(volume)
    if mask is None:
        return head, foreground(head)
    volume.require(mask)
    return head, foreground(canonical(mask))


def _three_planes(head: Volume, brain: NDArray[np.bool_], n_slices: int) -> Montage:
    box = crop(brain, head.grid.voxel_mm)
    return montage(head, box, [cuts(head, box, plane, n_slices) for plane in (AXIAL, CORONAL, SAGITTAL)])


def _window(head: Volume, brain: NDArray[np.bool_], vmin: float, vmax: float | None) -> tuple[float, float]:
    """Intensities shown as black and as white."""
    if vmax is None:
        inside = head.data[brain] if brain.any() else head.data
        vmax = float(np.percentile(inside, 99.5))
    return vmin, vmax if vmax > vmin else vmin + 1.0


def _scaled(head: Volume, window: tuple[float, float]) -> Volume:
    """Intensities with the window mapped to [0, 1]."""
    low, high = window
    return head.like((head.data - low) / (high - low))


def _boundary_map(mask: Volume) -> Volume:
    """An image that crosses zero at the boundary of a mask."""
    return mask.like(mask.data - 0.5)


def _edge_map(volume: Volume, sigma_mm: float = 2.0) -> Volume:
    """An image that crosses zero at the edges of another, and is NaN away from its stronger edges.

    Marr and Hildreth (1980), Proc. R. Soc. Lond. B 207:187: edges are the zero crossings of the Laplacian.
    """
    from scipy.ndimage import gaussian_gradient_magnitude, gaussian_laplace

    sigma = sigma_mm / volume.grid.voxel_mm
    strength = gaussian_gradient_magnitude(volume.data, sigma)
    curvature = gaussian_laplace(volume.data, sigma)
    return volume.like(np.where(strength > 0.25 * np.percentile(strength, 99), curvature, np.nan))


_OUTLINE: dict[str, tuple[Callable[[Volume], Volume], str]] = {
    "contour": (_boundary_map, "#22d3ee"),
    "edges": (_edge_map, "#fbbf24"),
}
