"""ROIs from the coordinates inside nilearn's wheel, and in the ventricles: nothing is downloaded."""

from __future__ import annotations

from functools import cache

import numpy as np

from pds_bids.core.rois import RoiAtlas, RoiGroup

DOSENBACH_RADIUS_MM = 5.0
"""Dosenbach 2010, Science 329:1358: spheres of 10 mm diameter."""

VENTRICLES_MM = {
    "frontal horn": (7.0, 12.0, 9.0),
    "anterior body": (6.0, 1.0, 17.0),
    "middle body": (8.0, -8.0, 22.0),
    "posterior body": (14.0, -23.0, 23.0),
    "atrium": (22.0, -37.0, 16.0),
    "occipital horn": (27.0, -46.0, 8.0),
}
"""Right side: middles of the fluid of the bundled ICBM template. No list of ROIs has them."""

FOURTH_VENTRICLE_MM = (-1.0, -44.0, -32.0)

VENTRICLE_RADIUS_MM = 4.0

GROUP_WORDS = {
    RoiGroup.LIMBIC: ("hippocampus", "amygdala", "MedialTemporalLobe"),
    RoiGroup.SUBCORTICAL: ("basalGanglia", "basal ganglia", "thalamus"),
    RoiGroup.VENTRICULAR: ("ventricle",),
}
"""What the names of a group's ROIs contain."""


@cache
def roi_atlas() -> RoiAtlas:
    """Dosenbach's 160 ROIs and Seitzman's 300, at MNI coordinates, and 13 in the ventricles.

    Seitzman 2020, NeuroImage 206:116290, has hippocampus and amygdala, which Dosenbach has not, and gives
    radii: 5 mm in the cerebral cortex, 4 mm elsewhere.
    """
    from nilearn.datasets import fetch_coords_dosenbach_2010, fetch_coords_seitzman_2018

    dosenbach = fetch_coords_dosenbach_2010(ordered_regions=False)
    seitzman = fetch_coords_seitzman_2018(ordered_regions=False)
    parts = zip(seitzman.regions, seitzman.networks, strict=True)
    ventricles = _ventricles()
    names = (
        *(f"Dosenbach {label}" for label in dosenbach.labels),
        *(f"Seitzman {region} {network} {k}" for k, (region, network) in enumerate(parts, 1)),
        *ventricles,
    )
    centres = [
        dosenbach.rois.to_numpy(float),
        seitzman.rois.to_numpy(float),
        np.array([*ventricles.values()]),
    ]
    radii = [
        np.full(len(dosenbach.rois), DOSENBACH_RADIUS_MM),
        seitzman.radius.astype(float),
        np.full(len(ventricles), VENTRICLE_RADIUS_MM),
    ]
    return RoiAtlas(names, np.concatenate(centres), np.concatenate(radii), tuple(map(_group, names)))


def _ventricles() -> dict[str, tuple[float, float, float]]:
    """Names and centres in mm."""
    sides = {"R": 1.0, "L": -1.0}
    lateral = {
        f"ventricle {part} {side}": (sign * x, y, z)
        for part, (x, y, z) in VENTRICLES_MM.items()
        for side, sign in sides.items()
    }
    return lateral | {"ventricle fourth": FOURTH_VENTRICLE_MM}


def _group(name: str) -> RoiGroup:
    groups = (group for group, words in GROUP_WORDS.items() if any(word in name for word in words))
    return next(groups, RoiGroup.OTHER)
