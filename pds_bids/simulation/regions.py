"""Regions whose volume, diffusion or relaxation changes with age and disease, on the 1 mm lattice."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, TISSUES, Structure


class Region(enum.IntEnum):
    """Parts of the head that do not overlap and, with NONE, fill it."""

    NONE = 0  # air, scalp, sulcal CSF, choroid plexus
    HIPPOCAMPUS = 1
    PARAHIPPOCAMPAL = 2  # grey and white matter of the gyrus
    TEMPORAL = 3  # grey and white matter of the rest of the lobe
    PARIETAL = 4
    POSTERIOR_CINGULATE = 5  # grey matter
    POSTERIOR_CINGULUM = 6  # the bundle in the white matter of the same gyrus
    SPLENIUM = 7
    VENTRICLES = 8
    OTHER_WHITE = 9
    OTHER_GREY = 10
    CEREBELLUM = 11  # grey and white matter


LANDMARKS_MM: Mapping[Region, tuple[tuple[int, int, int], ...]] = {
    Region.PARAHIPPOCAMPAL: ((-25, -21, -10), (-21, -16, -21)),  # hippocampal, parahippocampal
    Region.TEMPORAL: (
        (-53, -21, 7),  # superior
        (-42, -19, 10),  # Heschl
        (-40, 15, -20),  # superior pole
        (-56, -34, -2),  # middle
        (-36, 15, -34),  # middle pole
        (-50, -28, -23),  # inferior
        (-31, -40, -20),  # fusiform
        (-23, -1, -17),  # amygdala
        (-47, -51, -21),  # posterior inferior
        (-58, -53, -14),
    ),
    Region.PARIETAL: (
        (-42, -23, 49),  # postcentral
        (-23, -60, 59),  # superior
        (-43, -46, 47),  # inferior
        (-56, -34, 30),  # supramarginal
        (-44, -61, 36),  # angular
        (-7, -56, 48),  # precuneus
    ),
    Region.POSTERIOR_CINGULATE: ((-5, -43, 25),),
    Region.OTHER_GREY: (
        (-39, -6, 51),  # precentral
        (-18, 35, 42),  # superior frontal
        (-17, 47, -13),  # superior orbital
        (-33, 33, 35),  # middle frontal
        (-31, 50, -10),  # middle orbital
        (-48, 13, 19),  # inferior frontal, opercular
        (-46, 30, 14),  # inferior frontal, triangular
        (-36, 31, -12),  # inferior orbital
        (-47, -8, 14),  # Rolandic operculum
        (-5, 5, 61),  # supplementary motor
        (-8, 15, -11),  # olfactory
        (-5, 49, 31),  # superior medial frontal
        (-5, 54, -7),  # medial orbital
        (-5, 37, -18),  # rectus
        (-35, 7, 3),  # insula
        (-4, 35, 14),  # anterior cingulate
        (-5, -15, 42),  # middle cingulate
        (-7, -79, 6),  # calcarine
        (-6, -80, 27),  # cuneus
        (-15, -68, -5),  # lingual
        (-17, -84, 28),  # superior occipital
        (-32, -81, 16),  # middle occipital
        (-36, -78, -8),  # inferior occipital
        (-33, -79, -13),
        (-27, -59, -9),  # posterior fusiform
        (-18, -47, -10),  # anterior lingual
        (-8, -25, 70),  # paracentral
        (-11, 11, 9),  # caudate
        (-24, 4, 2),  # putamen
        (-18, 0, 0),  # pallidum
        (-11, -18, 8),  # thalamus
        (-26, -12, 28),  # superior corona radiata
        (-13, -18, -10),  # cerebral peduncle
        (-29, -30, 6),  # retrolenticular internal capsule
    ),
    Region.CEREBELLUM: (
        (-36, -67, -29),  # crus I
        (-29, -73, -38),  # crus II
        (-9, -37, -19),  # lobule III
        (-15, -43, -17),  # lobules IV and V
        (-23, -59, -22),  # lobule VI
        (-26, -55, -48),  # lobule VIII
        (-11, -49, -46),  # lobule IX
        (-1, -52, -6),  # vermis IV and V
        (-1, -67, -15),  # vermis VI
    ),
}
"""Places in MNI space, left side. Cortex and white matter belong to the nearest one, mirrored on the right.

Centres of the regions of the AAL atlas (Tzourio-Mazoyer 2002), rounded to 1 mm [R]; along the tentorium also
ROIs of Seitzman 2020. Three are tracts of the ICBM-DTI-81 atlas (Mori 2008) [R], for no lobe reaches into the
deep white matter. A lobe needs no sharper border: what a disease does to it is one number.
"""

SPLENIUM_BEHIND_MM = -32.0
"""The posterior fifth of the callosum (Witelson 1989): in the template it runs from y = 33 to y = -48 mm."""

CINGULUM_WITHIN_MM = 16.0
"""The bundle runs about 10 mm from the midline; white matter further out belongs to other tracts [R]."""

WHITE_COUNTERPART: Mapping[Region, Region] = {
    Region.POSTERIOR_CINGULATE: Region.POSTERIOR_CINGULUM,
    Region.OTHER_GREY: Region.OTHER_WHITE,
}
"""What white matter nearest to a centre is called, where it is not the same as grey matter."""

BY_STRUCTURE: Mapping[Structure, Region] = {
    **dict.fromkeys(TISSUES["GM"], Region.OTHER_GREY),
    **dict.fromkeys(TISSUES["WM"], Region.OTHER_WHITE),
    Structure.HIPPOCAMPUS: Region.HIPPOCAMPUS,
    Structure.CSF: Region.VENTRICLES,
    Structure.CEREBELLUM: Region.CEREBELLUM,
}
"""Region of a structure wherever it lies; cortex, white matter and callosum are then told apart by place."""


def regions_of(structures: Tensor) -> Tensor:
    """Every voxel's `Region`.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes in model space.

    Returns
    -------
    Tensor
        (160, 192, 176) uint8.
    """
    device = structures.device
    table = torch.tensor([BY_STRUCTURE.get(s, Region.NONE) for s in Structure], dtype=torch.uint8)
    counterpart = torch.tensor([WHITE_COUNTERPART.get(r, r) for r in Region], dtype=torch.uint8)
    x, y, _ = (torch.arange(n, device=device) + o for n, o in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True))
    grey = territories().to(device)
    white = counterpart.to(device)[grey.int()]
    lateral = (x.abs() > CINGULUM_WITHIN_MM)[:, None, None] & (white == Region.POSTERIOR_CINGULUM)
    white.masked_fill_(lateral, int(Region.OTHER_WHITE))

    regions = table.to(device)[structures.int()]
    regions = torch.where(structures == Structure.CORTEX, grey, regions)
    tracts = (structures == Structure.WHITE) | (structures == Structure.LESION)
    regions = torch.where(tracts, white, regions)
    splenium = (structures == Structure.CALLOSUM) & (y < SPLENIUM_BEHIND_MM)[:, None]
    return regions.masked_fill(splenium, int(Region.SPLENIUM))


@cache
def territories() -> Tensor:
    """(160, 192, 176) uint8: `Region` of the nearest of the `LANDMARKS_MM`, whatever is there."""
    x, y, z = (torch.arange(n) + origin for n, origin in zip(FINE_SHAPE, FINE_ORIGIN_MM, strict=True))
    left = x[x < 0]
    nearest = torch.full((len(left), *FINE_SHAPE[1:]), torch.inf)
    owner = torch.zeros(nearest.shape, dtype=torch.uint8)
    for region, landmarks in LANDMARKS_MM.items():
        for a, b, c in landmarks:
            distance = ((left - a) ** 2)[:, None, None] + ((y - b) ** 2)[:, None] + (z - c) ** 2
            owner.masked_fill_(distance < nearest, int(region))
            nearest = torch.minimum(nearest, distance)
    return torch.cat([owner, owner.flip(0)])
