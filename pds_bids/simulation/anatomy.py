"""Anatomies: which structure is where, on a 1 mm lattice in model space."""

from __future__ import annotations

import enum
import itertools

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.volume import Grid

FINE_SHAPE = (160, 192, 176)
"""Anatomies are 1 mm maps on this lattice: every voxel of `MODEL_GRID` is 2 x 2 x 2 of them."""

FINE_ORIGIN_MM = (-79.5, -112.5, -82.5)
"""World position of the first voxel centre, so that block means land on `MODEL_GRID` exactly."""


def _fine_affine() -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 3] = FINE_ORIGIN_MM
    return affine


FINE_GRID = Grid(FINE_SHAPE, _fine_affine())
"""Both in one: the 1 mm lattice in model space."""


class Structure(enum.IntEnum):
    """What a voxel is made of. The order is that of the rows of the physics table."""

    AIR = 0
    SOFT = 1  # muscle, skin, eyes: seen only where a brain mask leaks
    CORTEX = 2
    WHITE = 3
    CALLOSUM = 4
    CSF = 5
    PUTAMEN = 6  # with accumbens
    CAUDATE = 7
    PALLIDUM = 8
    THALAMUS = 9
    HIPPOCAMPUS = 10
    AMYGDALA = 11
    BRAINSTEM = 12
    CEREBELLUM = 13
    LESION = 14  # white-matter hyperintensity
    CHOROID = 15
    SULCAL = 16  # CSF around the brain: darker on EPI than in the ventricles, for it is full of vessels


def _parcels(*hemispheres: int) -> tuple[int, ...]:
    """Desikan-Killiany parcels of `aparc+aseg` and `wmparc`."""
    return tuple(start + number for start in hemispheres for number in range(36))


def _gyri(*hemispheres: int) -> tuple[int, ...]:
    """Destrieux parcels of `aparc.a2009s+aseg`."""
    return tuple(start + number for start in hemispheres for number in range(76))


FREESURFER_LABELS = {
    Structure.CORTEX: (3, 42, 85, *_parcels(1000, 2000), *_gyri(11100, 12100)),
    Structure.WHITE: (
        2,
        41,
        7,
        46,
        28,
        60,
        30,
        62,
        77,
        *_parcels(3000, 4000),
        *_gyri(13100, 14100),
        5001,
        5002,
    ),
    Structure.CALLOSUM: (251, 252, 253, 254, 255),
    Structure.CSF: (4, 43, 5, 44, 14, 15, 72),
    Structure.SULCAL: (24,),
    Structure.PUTAMEN: (12, 51, 26, 58),
    Structure.CAUDATE: (11, 50),
    Structure.PALLIDUM: (13, 52),
    Structure.THALAMUS: (10, 49),
    Structure.HIPPOCAMPUS: (17, 53),
    Structure.AMYGDALA: (18, 54),
    Structure.BRAINSTEM: (16,),
    Structure.CEREBELLUM: (8, 47),
    Structure.LESION: (25, 57),
    Structure.CHOROID: (31, 63, 136, 137, 163, 164),
    Structure.SOFT: (502, 506, 507, 508, 509, 511, 512, 514, 516, 530),
}
"""FreeSurfer label numbers (FreeSurferColorLUT, and SynthSeg's 5xx outside the brain). Bone (515) is air."""

TISSUES = {
    "GM": (
        Structure.CORTEX,
        Structure.PUTAMEN,
        Structure.CAUDATE,
        Structure.PALLIDUM,
        Structure.THALAMUS,
        Structure.HIPPOCAMPUS,
        Structure.AMYGDALA,
        Structure.CEREBELLUM,
    ),
    "WM": (Structure.WHITE, Structure.CALLOSUM, Structure.BRAINSTEM, Structure.LESION),
    "CSF": (Structure.CSF, Structure.CHOROID, Structure.SULCAL),
}
"""Tissue classes of the refiner, in channel order."""

CALLOSUM_BOX_MM = ((-5.0, 5.0), (-50.0, 40.0), (2.0, 40.0))
"""Where white matter is callosum, for maps that do not tell them apart."""


def structure_codes(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """FreeSurfer numbers to `Structure`, any shape; unknown numbers become air.

    Examples
    --------
    >>> structure_codes(np.array([[0, 2, 3, 17]])).tolist()
    [[0, 3, 2, 10]]
    """
    table = np.zeros(max(int(labels.max()), *itertools.chain(*FREESURFER_LABELS.values())) + 1, np.uint8)
    for structure, numbers in FREESURFER_LABELS.items():
        table[list(numbers)] = structure
    codes: NDArray[np.uint8] = table[labels]
    return codes


def with_callosum(structures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark the callosum on the 1 mm lattice in model space, if no voxel is marked yet."""
    if (structures == Structure.CALLOSUM).any():
        return structures
    box = [
        (low < (mm := np.arange(n) + origin)) & (mm < high)
        for n, origin, (low, high) in zip(FINE_SHAPE, FINE_ORIGIN_MM, CALLOSUM_BOX_MM, strict=True)
    ]
    inside = box[0][:, None, None] & box[1][:, None] & box[2]
    return np.where(inside & (structures == Structure.WHITE), np.uint8(Structure.CALLOSUM), structures)
