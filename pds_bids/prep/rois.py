"""The ROIs whose coordinates are inside nilearn's wheel: nothing is downloaded."""

from __future__ import annotations

from functools import cache

import numpy as np

from pds_bids.core.rois import RoiAtlas

DOSENBACH_RADIUS_MM = 5.0
"""Dosenbach 2010, Science 329:1358: spheres of 10 mm diameter."""


@cache
def roi_atlas() -> RoiAtlas:
    """Dosenbach's 160 ROIs and Seitzman's 300, at MNI coordinates.

    Seitzman 2020, NeuroImage 206:116290, has hippocampus and amygdala, which Dosenbach has not, and gives
    radii: 5 mm in the cerebral cortex, 4 mm elsewhere.
    """
    from nilearn.datasets import fetch_coords_dosenbach_2010, fetch_coords_seitzman_2018

    dosenbach = fetch_coords_dosenbach_2010(ordered_regions=False)
    seitzman = fetch_coords_seitzman_2018(ordered_regions=False)
    parts = zip(seitzman.regions, seitzman.networks, strict=True)
    names = [f"Dosenbach {label}" for label in dosenbach.labels]
    names += [f"Seitzman {region} {network} {k}" for k, (region, network) in enumerate(parts, 1)]
    return RoiAtlas(
        tuple(names),
        np.concatenate([dosenbach.rois.to_numpy(float), seitzman.rois.to_numpy(float)]),
        np.concatenate([np.full(len(dosenbach.rois), DOSENBACH_RADIUS_MM), seitzman.radius.astype(float)]),
    )
