from __future__ import annotations

import numpy as np

from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure
from pds_bids.simulation.icbm import structures_from_tissues


def voxel(*mm: float) -> tuple[int, ...]:
    """Index on the 1 mm lattice of a position in model space."""
    return tuple(round(p - origin) for p, origin in zip(mm, FINE_ORIGIN_MM, strict=True))


def test_an_anatomy_from_tissue_maps():
    gm, wm = np.zeros((2, *FINE_SHAPE), np.float32)
    brain = np.ones(FINE_SHAPE, bool)
    where = {
        Structure.CORTEX: voxel(40.5, 0.5, 40.5),
        Structure.WHITE: voxel(30.5, 0.5, 30.5),
        Structure.CALLOSUM: voxel(0.5, 0.5, 20.5),
        Structure.CSF: voxel(10.5, -10.5, 10.5),
        Structure.SULCAL: voxel(60.5, 0.5, 40.5),
        Structure.AIR: voxel(70.5, 70.5, 70.5),
    }
    gm[where[Structure.CORTEX]] = 0.9
    wm[where[Structure.WHITE]] = wm[where[Structure.CALLOSUM]] = 0.8
    gm[where[Structure.AIR]], brain[where[Structure.AIR]] = 0.9, False

    structures = structures_from_tissues(gm, wm, brain)

    assert {s: Structure(structures[v]) for s, v in where.items()} == {s: s for s in where}
