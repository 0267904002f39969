"""An anatomy from the tissue maps of a template, with nuclei at published MNI coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure, with_callosum
from pds_bids.simulation.regions import Region, territories


@dataclass(frozen=True)
class Ellipsoid:
    """Part of a structure on the left side; the right side is its mirror image.

    Attributes
    ----------
    centre_mm
        MNI coordinates.
    semi_axes_mm
        Along x, y and z before it is turned.
    pitch_deg
        Turn about the x axis: positive raises the front end.
    yaw_deg
        Turn about the z axis: negative brings the front end to the midline.
    """

    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0

    def mask(self) -> NDArray[np.bool_]:
        """(160, 192, 176) left and right."""
        x, y, z = (
            (np.arange(n, dtype=np.float32) + origin) - centre
            for n, origin, centre in zip(FINE_SHAPE, FINE_ORIGIN_MM, self.centre_mm, strict=True)
        )
        x, y = x[: len(x) // 2, None, None], y[:, None]
        pitch, yaw = math.radians(self.pitch_deg), math.radians(self.yaw_deg)
        across = math.cos(yaw) * x + math.sin(yaw) * y
        forward = -math.sin(yaw) * x + math.cos(yaw) * y
        along = math.cos(pitch) * forward + math.sin(pitch) * z
        up = -math.sin(pitch) * forward + math.cos(pitch) * z
        a, b, c = self.semi_axes_mm
        left = (across / a) ** 2 + (along / b) ** 2 + (up / c) ** 2 <= 1
        return np.concatenate([left, left[::-1]])


NUCLEI: dict[Structure, tuple[Ellipsoid, ...]] = {
    Structure.BRAINSTEM: (
        Ellipsoid((0, -25, -12), (16, 11, 13)),  # midbrain
        Ellipsoid((0, -28, -32), (17, 13, 15)),  # pons
        Ellipsoid((0, -39, -54), (11, 9, 20), pitch_deg=-20),  # medulla
    ),
    Structure.THALAMUS: (Ellipsoid((-12.8, -17, 5.5), (11, 18, 12), yaw_deg=15),),
    Structure.PUTAMEN: (Ellipsoid((-26, 1, 1), (7.5, 19, 13), yaw_deg=-11),),
    Structure.PALLIDUM: (Ellipsoid((-19.5, -4, -2), (5.5, 11, 7.5), yaw_deg=25),),
    Structure.CAUDATE: (
        Ellipsoid((-12.5, 16, 4), (7, 10.5, 11.5)),  # head
        Ellipsoid((-15, 0, 18), (5, 15, 6), pitch_deg=-15, yaw_deg=10),  # body
    ),
    Structure.AMYGDALA: (Ellipsoid((-22, -2, -20), (9, 8, 8.5)),),
    Structure.HIPPOCAMPUS: (
        Ellipsoid((-26, -17, -18), (9, 14, 7), pitch_deg=-37),  # head and body
        Ellipsoid((-27, -31, -7.5), (7, 13.5, 6.5), pitch_deg=-37),  # tail
    ),
}
"""Later ones cover earlier ones.

Centres: means over the ROIs of Seitzman 2020 (the table is in nilearn's wheel), drawn to the centre of the
AAL region (Tzourio-Mazoyer 2002) where few of them sample a nucleus. Brainstem, turns and semi-axes [R]: they
give the volumes of an adult brain times 1.3, for so much larger is the template.
"""

LEAST_GREY = {Structure.PUTAMEN: 0.25, Structure.HIPPOCAMPUS: 0.3, Structure.AMYGDALA: 0.3}
"""Grey matter probability that a voxel of a nucleus needs. Of the others the template's maps call much white,
for iron and myelin shorten their T1."""

VENTRICLES_MM = (
    ((0.0, 36.0), (-31.0, 35.0), (-8.0, 32.0)),  # third, and the front of the lateral ones
    ((14.0, 36.0), (-75.0, -31.0), (-8.0, 32.0)),  # atria and occipital horns, beside the cisterns
    ((0.0, 10.0), (-55.0, -36.0), (-45.0, -20.0)),  # fourth
)
"""Boxes in (|x|, y, z) where CSF is ventricular; elsewhere it is sulcal [R]."""

LEAST_FLUID = 0.2
"""1 - GM - WM from which on a voxel is CSF: in a mean of 152 people no sulcus holds much more."""


def structures_from_tissues(
    gm: NDArray[np.floating], wm: NDArray[np.floating], brain: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """An anatomy from tissue probabilities: what they tell apart, and `NUCLEI` where they are tissue.

    Parameters
    ----------
    gm, wm
        (160, 192, 176) probabilities on the 1 mm lattice in model space.
    brain
        (160, 192, 176) brain mask; what is neither grey nor white in it is CSF.

    Returns
    -------
    ndarray
        (160, 192, 176) uint8 `Structure` codes.
    """
    tissue = 1 - gm - wm < LEAST_FLUID
    cerebellar = territories().numpy() == Region.CEREBELLUM
    structures = np.where(_ventricular(), np.uint8(Structure.CSF), np.uint8(Structure.SULCAL))
    structures[tissue & (gm >= wm)] = Structure.CORTEX
    structures[tissue & (gm >= wm) & cerebellar] = Structure.CEREBELLUM
    structures[tissue & (gm < wm)] = Structure.WHITE
    structures = with_callosum(structures)
    free = tissue & (structures != Structure.CALLOSUM)
    for structure, parts in NUCLEI.items():
        plausible = free & (gm >= LEAST_GREY.get(structure, 0.0))
        for part in parts:
            structures[part.mask() & plausible] = structure
    structures[~brain] = Structure.AIR
    return structures


def _ventricular() -> NDArray[np.bool_]:
    """(160, 192, 176) whether CSF at a place is that of a ventricle."""
    x, y, z = (np.arange(n) + origin for n, origin in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True))
    axes = (np.abs(x)[:, None, None], y[:, None], z)
    inside = np.zeros(FINE_SHAPE, bool)
    for box in VENTRICLES_MM:
        in_x, in_y, in_z = ((low < mm) & (mm < high) for mm, (low, high) in zip(axes, box, strict=True))
        inside |= in_x & in_y & in_z
    return inside
