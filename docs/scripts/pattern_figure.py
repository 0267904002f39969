"""Draw the pattern that a checkpoint was trained with.

Usage::

    python docs/scripts/pattern_figure.py CHECKPOINT docs/images/pattern.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.models.checkpoint import load_checkpoint
from pds_bids.models.pattern import PatternValues
from pds_bids.prep.atlas import template
from pds_bids.prep.resampling import resample
from pds_bids.report.encoding import to_png
from pds_bids.report.patterns import pattern_maps
from pds_bids.simulation.anatomy import FINE_GRID

LIMIT = 1.0


def write_picture(pattern: PatternValues, picture: Path) -> None:
    """Effects and correlation in every ROI, over the template at 1 mm."""
    anatomy = resample(template(), FINE_GRID, np.eye(4), space=template().space)
    labels = pattern.atlas.labels(FINE_GRID)

    def painted(values_R: NDArray[np.float64]) -> Volume:
        return anatomy.like(np.concatenate([[np.nan], values_R])[labels])

    maps = {
        f"d: AD against NC, {modality.full_name}": painted(d_R)
        for modality, d_R in zip(Modality, pattern.d_MR, strict=True)
    }
    maps["rho: mean fMRI with mean dMRI, given age, sex and site"] = painted(pattern.rho_R)
    people = f"{pattern.n_pairs} training pairs, {pattern.n_patients} of AD and {pattern.n_controls} of NC"
    title = f"Pattern of {len(pattern.atlas)} ROIs, estimated from {people}"
    figure = pattern_maps(anatomy, maps, title=title, limit=LIMIT, label="d or rho, shrunk")
    picture.write_bytes(to_png(figure, dpi=100))


if __name__ == "__main__":
    checkpoint, picture_path = sys.argv[1:]
    values = load_checkpoint(checkpoint).model.pattern
    if values is None:
        sys.exit(f"{checkpoint} was trained without a pattern")
    write_picture(values, Path(picture_path))
