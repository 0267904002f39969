"""The order in which voxels are stored: one order for every estimate, the stored one for every result.

The lattices on which motion, bias field and registration are estimated begin at the first voxel. The same
head stored along other axes would begin elsewhere and end up elsewhere by more than interpolation explains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Grid, Volume

RAS = np.array([[0, 1], [1, 1], [2, 1]])
"""First axis to the right, second to the front, third up: nibabel's notation (axis, direction)."""


def canonical(volume: Volume) -> Volume:
    """The same voxels in the same places, stored along the axes nearest to right, anterior, superior.

    Axes are exchanged and turned round, nothing is interpolated.

    Examples
    --------
    >>> flipped = Volume(np.arange(8, dtype="float32").reshape(2, 2, 2), np.diag([-1.0, 1, 1, 1]))
    >>> canonical(flipped).affine[0]
    array([ 1.,  0.,  0., -1.])
    """
    from nibabel import orientations

    turn = orientations.io_orientation(volume.affine)
    affine = volume.affine @ orientations.inv_ornt_aff(turn, volume.data.shape)
    data = orientations.apply_orientation(volume.data, turn)
    return replace(volume, data=np.ascontiguousarray(data), affine=affine)


def stored_on(volume: Volume, grid: Grid) -> Volume:
    """A canonical volume back along the axes of the grid it was made from.

    Raises
    ------
    GridMismatch
        If the volume did not come from that grid.
    """
    from nibabel import orientations

    turn = orientations.ornt_transform(RAS, orientations.io_orientation(grid.affine))
    data = np.ascontiguousarray(orientations.apply_orientation(volume.data, turn))
    if data.shape != grid.shape:
        raise GridMismatch(f"a volume of shape {data.shape} does not come from a grid of {grid.shape}")
    return replace(volume, data=data, affine=grid.affine)
