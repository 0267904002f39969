"""A head whose sides are told apart by bright balls, stored in any orientation."""

from __future__ import annotations

import nibabel as nb
import numpy as np
import pytest

from pds_bids.core.volume import Volume

BALLS_MM = {"left": (-40, 0, 0), "front": (0, 55, 0), "top": (0, 0, 45)}


def ball(points_mm: np.ndarray, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Where (X, Y, Z, 3) coordinates lie inside a ball."""
    return np.linalg.norm(points_mm - np.array(centre), axis=-1) < radius


@pytest.fixture
def make_head():
    """Function (affine, shape, marker) -> a head of intensity 1, a ball of intensity 4 at one side."""

    def make(affine=None, shape=(48, 60, 50), marker="left") -> Volume:
        if affine is None:
            affine = nb.affines.from_matvec(np.diag([3.0, 3.0, 3.0]), [-70.5, -88.5, -73.5])
        points = nb.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
        inside = np.linalg.norm(points / (60, 75, 60), axis=-1) < 1
        data = inside + 3.0 * ball(points, BALLS_MM[marker], 10)
        return Volume(data.astype(np.float32), np.asarray(affine, float))

    return make


@pytest.fixture
def stored_as():
    """Function (volume, axis codes) -> the same volume with its voxels stored in another order."""

    def reorient(volume: Volume, codes: str) -> Volume:
        image = nb.Nifti1Image(volume.data, volume.affine)
        target = nb.orientations.axcodes2ornt(codes)
        moved = image.as_reoriented(nb.orientations.ornt_transform(nb.io_orientation(image.affine), target))
        return Volume(np.asarray(moved.dataobj, np.float32), moved.affine)

    return reorient
