import itertools

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pds_bids.core.volume import Volume
from pds_bids.report.slices import (
    AXIAL,
    CORONAL,
    PIXEL_MM,
    SAGITTAL,
    canonical,
    crop,
    cuts,
    foreground,
    montage,
)

PLANES = (AXIAL, CORONAL, SAGITTAL)
ORIENTATIONS = [
    "".join(codes)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for codes in itertools.product(*order)
]


def picture(volume: Volume, plane) -> np.ndarray:
    """The middle slice."""
    head = canonical(volume)
    box = crop(foreground(head), head.grid.voxel_mm)
    return montage(head, box, [cuts(head, box, plane, 1)]).canvas([head])


def brightest(image: np.ndarray) -> tuple[float, float]:
    """Centre of the marker, as fractions of the picture from its left and from its top."""
    rows, columns = np.nonzero(image > 2.5)
    assert rows.size, "the marker is not in the picture"
    return columns.mean() / image.shape[1], rows.mean() / image.shape[0]


@pytest.mark.parametrize(
    ("plane", "marker", "expected"),
    [
        (AXIAL, "left", (0.2, 0.5)),
        (AXIAL, "front", (0.5, 0.15)),
        (CORONAL, "left", (0.2, 0.5)),
        (CORONAL, "top", (0.5, 0.15)),
        (SAGITTAL, "front", (0.85, 0.5)),
        (SAGITTAL, "top", (0.5, 0.15)),
    ],
)
@pytest.mark.parametrize("codes", ["RAS", "LAS", "RPI", "PSL", "IAL"])
def test_marker_is_drawn_on_its_own_side(make_head, stored_as, codes, plane, marker, expected):
    image = picture(stored_as(make_head(marker=marker), codes), plane)
    assert brightest(image) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_storage_order_does_not_change_the_picture(make_head, stored_as, codes):
    head = make_head()
    for plane in PLANES:
        np.testing.assert_allclose(picture(stored_as(head, codes), plane), picture(head, plane), atol=1e-5)


@pytest.mark.parametrize("flip", [1, -1], ids=["RAS", "LAS"])
def test_left_stays_left_in_an_oblique_volume(make_head, flip):
    turn = Rotation.from_euler("xyz", [15, -10, 20], degrees=True).as_matrix()
    matrix = turn @ np.diag([3.0 * flip, 3.0, 3.0])
    affine = nb.affines.from_matvec(matrix, -matrix @ (np.array([60, 60, 60]) - 1) / 2)
    across, _ = brightest(picture(make_head(affine, (60, 60, 60)), AXIAL))
    assert across < 0.35


@given(st.tuples(*[st.floats(1, 6)] * 3))
def test_a_ball_is_round_whatever_the_voxels(voxel_mm):
    shape = tuple(int(120 / edge) for edge in voxel_mm)
    matrix = np.diag(voxel_mm)
    affine = nb.affines.from_matvec(matrix, -matrix @ (np.array(shape) - 1) / 2)
    points = nb.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    volume = Volume((np.linalg.norm(points, axis=-1) < 40).astype(np.float32), affine)
    for plane in PLANES:
        rows, columns = np.nonzero(picture(volume, plane) > 0.5)
        size_mm = (np.ptp(columns) + 1) * PIXEL_MM, (np.ptp(rows) + 1) * PIXEL_MM
        # within the plane a boundary is known to a voxel at each side; off-centre slices shrink a little
        allowed = 2 * max(voxel_mm) + PIXEL_MM
        assert size_mm == pytest.approx((80, 80), abs=allowed)


def test_positions_are_in_millimetres(make_head):
    head = make_head()
    (cut,) = cuts(head, crop(foreground(head), head.grid.voxel_mm), CORONAL, 1)
    assert cut.mm == pytest.approx(head.affine[1, 1] * cut.voxel + head.affine[1, 3])
    assert cut.label == f"y {cut.mm:.0f}".replace("-", "\N{MINUS SIGN}")


def test_crop_keeps_the_brain_and_ignores_a_stray_voxel(make_head):
    head = make_head()
    mask = foreground(head)
    box = crop(mask, head.grid.voxel_mm)
    assert (
        mask[tuple(slice(low, high) for low, high in zip(box.low, box.high, strict=True))].sum() == mask.sum()
    )
    mask[0, 0, 0] = True
    assert crop(mask, head.grid.voxel_mm) == box


def test_crop_of_nothing_is_the_whole_grid():
    box = crop(np.zeros((4, 5, 6), bool), np.ones(3))
    assert (box.low, box.high) == ((0, 0, 0), (4, 5, 6))


def test_non_finite_voxels_become_air(make_head):
    head = make_head()
    head.data[:3] = np.nan
    head.data[-1] = np.inf
    assert np.isfinite(canonical(head).data).all()


def test_rows_do_not_overlap(make_head):
    head = make_head()
    box = crop(foreground(head), head.grid.voxel_mm)
    layout = montage(head, box, [cuts(head, box, plane, 3) for plane in PLANES], heading=7)
    painted = np.zeros(layout.shape, int)
    for at in layout.places:
        painted[at.top : at.top + at.height, at.left : at.left + at.width] += 1
    assert painted.max() == 1
    assert painted.sum() == sum(at.width * at.height for at in layout.places)
    assert not painted[:7].any()
