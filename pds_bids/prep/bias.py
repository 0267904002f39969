"""N4 bias field correction (Tustison 2010, doi:10.1109/TMI.2010.2046908)."""

from __future__ import annotations

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import from_ants, to_ants
from pds_bids.prep.engine import set_threads

FITTING_MM = 8.0
"""Spacing of the lattice the field is fitted on: it is far smoother than that."""


def correct_bias(volume: Volume, mask: Volume, config: PrepConfig) -> Volume:
    """Divide by the smooth field that makes the histogram inside the mask sharpest.

    Parameters
    ----------
    volume
        (X, Y, Z), >= 0.
    mask
        Brain, on the same grid.

    Returns
    -------
    Volume
        Same grid, median inside the mask unchanged, >= 0.
    """
    import ants

    volume.require(mask)
    set_threads(config)
    shrink = max(1, round(FITTING_MM / float(np.median(volume.grid.voxel_mm))))
    levels = [20] if config.sloppy else [50, 50, 30]
    field = from_ants(
        ants.n4_bias_field_correction(
            to_ants(volume), mask=to_ants(mask), shrink_factor=shrink,
            convergence={"iters": levels, "tol": 1e-6}, return_bias_field=True,
        ),
        volume.space,
    )  # fmt: skip
    inside = mask.data > 0
    data = np.where(field.data > 0, volume.data / np.maximum(field.data, 1e-6), volume.data)
    data *= np.median(volume.data[inside]) / max(float(np.median(data[inside])), 1e-12)
    return volume.like(data)
