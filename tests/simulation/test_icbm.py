from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pds_bids.app.anatomies import template_anatomy
from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FINE_SHAPE, Structure
from pds_bids.simulation.icbm import NUCLEI, Ellipsoid, structures_from_tissues

TEMPLATE_SCALE = 1.3
"""Volume of the ICBM brain over that of an adult's."""

ADULT_ML = {
    Structure.HIPPOCAMPUS: 3.75,
    Structure.AMYGDALA: 1.5,
    Structure.THALAMUS: 7.0,
    Structure.PUTAMEN: 5.0,
    Structure.CAUDATE: 3.75,
    Structure.PALLIDUM: 1.6,
    Structure.BRAINSTEM: 11.0,
    Structure.CEREBELLUM: 55.0,
}
"""Typical volume on one side; of brainstem and cerebellar cortex, half of both sides."""

SEITZMAN_MM = {
    Structure.HIPPOCAMPUS: ((-25.6, -11.8, -21.5), (-25.2, -38.8, -2.0)),
    Structure.AMYGDALA: ((-20.3, -2.3, -22.2),),
    Structure.THALAMUS: ((-15.4, -14.2, 12.2), (-13.6, -19.7, 0.8)),
    Structure.PUTAMEN: ((-28.3, -1.0, -3.1), (-24.8, 7.7, 8.0)),
    Structure.PALLIDUM: ((-18.8, -5.1, -3.1),),
    Structure.CAUDATE: ((-13.3, 17.2, 7.1), (-15.2, -1.5, 18.8)),
}
"""ROIs of Seitzman 2020 well inside a nucleus."""


def voxel(*mm: float) -> tuple[int, ...]:
    """Index on the 1 mm lattice of a position in model space."""
    return tuple(round(p - origin) for p, origin in zip(mm, FINE_ORIGIN_MM, strict=True))


@pytest.fixture(scope="module")
def template() -> NDArray[np.uint8]:
    return template_anatomy()


def test_an_ellipsoid_has_its_volume_wherever_it_points():
    mask = Ellipsoid((-30, 5, 10), (5, 12, 8), pitch_deg=-37, yaw_deg=20).mask()

    assert mask.sum() / 2 == pytest.approx(4 / 3 * np.pi * 5 * 12 * 8, rel=0.01)
    np.testing.assert_array_equal(mask, mask[::-1])


def test_pitch_raises_the_front_and_yaw_brings_it_inward():
    rod = {"centre_mm": (-30, 0, 0), "semi_axes_mm": (2, 20, 2)}

    assert Ellipsoid(**rod, pitch_deg=30).mask()[voxel(-30, 13, 7.5)]
    assert Ellipsoid(**rod, yaw_deg=-30).mask()[voxel(-22.5, 13, 0)]


def test_an_anatomy_from_tissue_maps():
    gm, wm = np.zeros((2, *FINE_SHAPE), np.float32)
    brain = np.ones(FINE_SHAPE, bool)
    where = {
        Structure.CORTEX: voxel(40.5, 0.5, 40.5),
        Structure.CEREBELLUM: voxel(23.5, -59.5, -22.5),
        Structure.WHITE: voxel(30.5, 0.5, 30.5),
        Structure.CALLOSUM: voxel(0.5, 0.5, 20.5),
        Structure.CSF: voxel(10.5, -10.5, 10.5),
        Structure.SULCAL: voxel(60.5, 0.5, 40.5),
        Structure.AIR: voxel(70.5, 70.5, 70.5),
    }
    for grey in (Structure.CORTEX, Structure.CEREBELLUM, Structure.AIR):
        gm[where[grey]] = 0.9
    for white in (Structure.WHITE, Structure.CALLOSUM):
        wm[where[white]] = 0.9
    brain[where[Structure.AIR]] = False

    structures = structures_from_tissues(gm, wm, brain)

    assert {s: Structure(structures[v]) for s, v in where.items()} == {s: s for s in where}


def test_nuclei_lie_where_there_is_tissue():
    fluid, brain = np.zeros(FINE_SHAPE, np.float32), np.ones(FINE_SHAPE, bool)
    white = structures_from_tissues(fluid, fluid + 1, brain)

    assert set(np.unique(structures_from_tissues(fluid, fluid, brain))) == {Structure.CSF, Structure.SULCAL}
    assert (white[voxel(-13, -17, 5)], white[voxel(-26, 1, 1)]) == (Structure.THALAMUS, Structure.WHITE)


@pytest.mark.parametrize("structure", ADULT_ML, ids=lambda s: s.name)
def test_volumes_are_those_of_an_adult(template, structure):
    assert (template == structure).sum() / 2e3 == pytest.approx(
        ADULT_ML[structure] * TEMPLATE_SCALE, rel=0.15
    )


@pytest.mark.parametrize("structure", SEITZMAN_MM, ids=lambda s: s.name)
def test_nuclei_lie_where_published(template, structure):
    assert {Structure(template[voxel(*mm)]) for mm in SEITZMAN_MM[structure]} == {structure}


def test_ventricles_have_an_adults_size_and_the_nuclei_do_not_fill_them(template):
    assert 20 < (template == Structure.CSF).sum() / 1e3 < 60
    for mm in [(-8.5, 15, 10), (-22.5, -45, 10), (0.5, -10, 2), (0.5, -45, -32)]:
        near = template[tuple(slice(i - 3, i + 4) for i in voxel(*mm))]
        assert (near == Structure.CSF).mean() > 0.05, mm


def test_the_template_is_as_symmetric_as_it_is_called(template):
    for structure in NUCLEI:
        left, right = template[:80] == structure, template[80:][::-1] == structure
        assert 2 * (left & right).sum() / (left.sum() + right.sum()) > 0.98, structure
