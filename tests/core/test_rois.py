from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.rois import RoiAtlas
from pds_bids.core.volume import MODEL_GRID, Grid

SMALL = Grid((9, 10, 11), np.array([[-2.0, 0, 0, 8], [0, 3, 0, -15], [0, 0, 2, -10], [0, 0, 0, 1]]))

points = st.tuples(*[st.floats(-20, 20)] * 3)


@given(st.lists(st.tuples(points, st.floats(0.5, 9)), min_size=1, max_size=5))
def test_a_voxel_belongs_to_the_nearest_sphere_that_holds_it(spheres):
    centres, radii = np.array([c for c, _ in spheres]), np.array([r for _, r in spheres])
    where = np.stack(np.meshgrid(*map(np.arange, SMALL.shape), indexing="ij"), -1) @ SMALL.affine[:3, :3].T
    away = np.linalg.norm((where + SMALL.affine[:3, 3])[..., None, :] - centres, axis=-1)
    away[away > radii] = np.inf

    labels = RoiAtlas(tuple("abcde"[: len(radii)]), centres, radii).labels(SMALL)

    np.testing.assert_array_equal(labels > 0, np.isfinite(away).any(-1))
    rows = labels > 0
    chosen = np.take_along_axis(away[rows], labels[rows][:, None] - 1, axis=-1)[:, 0]
    np.testing.assert_allclose(chosen, away[rows].min(-1), atol=1e-9)


def test_a_sphere_off_the_grid_paints_nothing():
    atlas = RoiAtlas(("near",), np.zeros((1, 3)), np.array([5.0]))

    assert atlas.labels(MODEL_GRID).sum() > 50
    assert not atlas.moved(np.array([500.0, 0, 0])).labels(MODEL_GRID).any()
