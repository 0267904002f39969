"""How the intensities of volumes spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.report.panels import STYLE, panelled, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_BINS = 80
TOP = 2.0
"""Relative intensities lie in [0, 2]."""


def histograms(intensities: Mapping[str, NDArray[np.floating]], *, title: str) -> Figure:
    """Outlines of histograms over one another.

    Parameters
    ----------
    intensities
        Name of each volume to its voxels, (N,), in units of the brain's median.
    title
        Drawn as it is.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure, (axes,) = panelled([title], height_in=2.6)
        for name, values, look in styled(intensities):
            counts, edges = np.histogram(values.clip(0, TOP), N_BINS, (0, TOP))
            axes.stairs(
                100 * counts / max(counts.sum(), 1), edges, label=name, color=look["color"], linewidth=1.8
            )
        axes.set_xlim(0, TOP)
        axes.set_xlabel("intensity, brain median = 1")
        axes.set_ylabel("% of voxels")
        axes.legend(loc="upper right")
        figure.suptitle("")
    return figure
