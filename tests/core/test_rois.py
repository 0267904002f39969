from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID, Grid

SMALL = Grid((9, 10, 11), np.array([[-2.0, 0, 0, 8], [0, 3, 0, -15], [0, 0, 2, -10], [0, 0, 0, 1]]))

points = st.tuples(*[st.floats(-20, 20)] * 3)


@given(st.lists(st.tuples(points, st.floats(0.5, 9)), min_size=1, max_size=5))
def test_a_voxel_belongs_to_the_nearest_sphere_that_holds_it(spheres):
    centres, radii = np.array([c for c, _ in spheres]), np.array([r for _, r in spheres])
    where = np.stack(np.meshgrid(*map(np.arange, SMALL.shape), indexing="ij"), -1) @ SMALL.affine[:3, :3].T
    away = np.linalg.norm((where + SMALL.affine[:3, 3])[..., None, :] - centres, axis=-1)
    away[away > radii] = np.inf

    labels = RoiAtlas(tuple("abcde"[: len(radii)]), centres, radii, (RoiGroup.OTHER,) * len(radii)).labels(
        SMALL
    )

    np.testing.assert_array_equal(labels > 0, np.isfinite(away).any(-1))
    rows = labels > 0
    chosen = np.take_along_axis(away[rows], labels[rows][:, None] - 1, axis=-1)[:, 0]
    np.testing.assert_allclose(chosen, away[rows].min(-1), atol=1e-9)


def test_a_sphere_off_the_grid_paints_nothing():
    atlas = RoiAtlas(("near",), np.zeros((1, 3)), np.array([5.0]), (RoiGroup.OTHER,))

    assert atlas.labels(MODEL_GRID).sum() > 50
    assert not atlas.moved(np.array([500.0, 0, 0])).labels(MODEL_GRID).any()


@given(arrays(np.float32, (2, 2), elements=st.floats(-5, 5, width=32)))
def test_a_voxel_is_painted_with_the_value_of_its_roi(values_CR):
    atlas = RoiAtlas(("a", "b"), np.array([[0.0, 0, 0], [0, 9, 0]]), np.full(2, 4.0), (RoiGroup.OTHER,) * 2)
    labels = atlas.labels(SMALL)

    painted = atlas.painted(values_CR, SMALL)

    assert painted.shape == (2, *SMALL.shape)
    for roi in (1, 2):
        np.testing.assert_array_equal(
            painted[:, labels == roi].T, [values_CR[:, roi - 1]] * (labels == roi).sum()
        )
    assert not painted[:, labels == 0].any()
