from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import (
    FINE_ORIGIN_MM,
    FINE_SHAPE,
    FREESURFER_LABELS,
    TISSUES,
    Structure,
    deform,
    identity_grid,
    random_diffeomorphism,
    smooth_noise,
    structure_codes,
    structures_from_tissues,
    velocity_to_displacement,
    with_callosum,
)


def voxel(*mm: float) -> tuple[int, ...]:
    """Index on the 1 mm lattice of a position in model space."""
    return tuple(round(p - origin) for p, origin in zip(mm, FINE_ORIGIN_MM, strict=True))


def test_block_means_land_on_the_model_grid():
    assert tuple(n // 2 for n in FINE_SHAPE) == MODEL_GRID.shape
    np.testing.assert_array_equal(np.array(FINE_ORIGIN_MM) + 0.5, MODEL_GRID.affine[:3, 3])


def test_no_label_belongs_to_two_structures():
    numbers = list(itertools.chain(*FREESURFER_LABELS.values()))

    assert len(numbers) == len(set(numbers))
    assert set(FREESURFER_LABELS) == set(Structure) - {Structure.AIR}


@pytest.mark.parametrize("structure", FREESURFER_LABELS)
def test_labels_become_their_structure(structure):
    assert (structure_codes(np.array(FREESURFER_LABELS[structure])) == structure).all()


@given(st.integers(0, 20_000).filter(lambda n: all(n not in ns for ns in FREESURFER_LABELS.values())))
def test_what_is_unknown_is_air(number):
    assert structure_codes(np.array([number])) == Structure.AIR


def test_every_structure_of_the_brain_is_one_tissue():
    members = list(itertools.chain(*TISSUES.values()))

    assert sorted(members) == sorted(set(Structure) - {Structure.AIR, Structure.SOFT})


@pytest.fixture
def white() -> np.ndarray:
    return np.full(FINE_SHAPE, Structure.WHITE, np.uint8)


def test_callosum_is_white_matter_of_the_midline(white):
    white[voxel(0.5, 10.5, 10.5)] = Structure.CSF

    marked = with_callosum(white)

    assert marked[voxel(0.5, 0.5, 20.5)] == Structure.CALLOSUM
    assert marked[voxel(0.5, 10.5, 10.5)] == Structure.CSF
    for outside in [(8.5, 0.5, 20.5), (0.5, 60.5, 20.5), (0.5, 0.5, -9.5)]:
        assert marked[voxel(*outside)] == Structure.WHITE


def test_callosum_is_symmetric(white):
    marked = with_callosum(white)

    np.testing.assert_array_equal(marked, marked[::-1])


def test_a_map_that_tells_the_callosum_is_believed(white):
    white[0, 0, 0] = Structure.CALLOSUM

    assert with_callosum(white) is white


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


def test_smooth_noise_is_smooth_and_standard():
    shape = (40, 48, 44)
    fields = torch.cat([smooth_noise(shape, 4, 3, torch.Generator().manual_seed(s)) for s in range(30)])

    steps = fields.diff(dim=2).abs().mean()
    assert fields.shape == (30, 3, *shape)
    assert fields[..., 0, 0, 0].mean().abs() < 0.35
    assert 0.75 < fields[..., 0, 0, 0].std() < 1.25  # a corner is a knot
    assert steps < 0.2 * fields.std()


def test_no_velocity_is_no_displacement():
    velocity = torch.zeros(1, 3, 6, 5, 4)

    assert torch.equal(velocity_to_displacement(velocity), velocity)


def test_a_constant_velocity_is_a_translation():
    velocity = torch.tensor([0.1, -0.2, 0.05]).view(1, 3, 1, 1, 1).expand(1, 3, 8, 8, 8)

    torch.testing.assert_close(velocity_to_displacement(velocity), velocity)


def test_a_linear_velocity_is_its_exponential():
    """dx/dt = a x has the flow x exp(a t)."""
    rate, shape = -0.5, (9, 9, 33)
    base = identity_grid(shape)[0].permute(3, 0, 1, 2)[None]  # channels (z, y, x)
    velocity = torch.zeros_like(base)
    velocity[:, 0] = rate * base[:, 0]

    displacement = velocity_to_displacement(velocity, squarings=8)

    expected = base[:, 0] * (np.exp(rate) - 1)
    torch.testing.assert_close(displacement[:, 0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_anatomy_never_folds(seed):
    where = random_diffeomorphism(torch.Generator().manual_seed(seed))[0]
    half_mm = torch.tensor([(n - 1) / 2 for n in reversed(FINE_SHAPE)])
    mm = where * half_mm  # (X, Y, Z, 3), last axis (z, y, x), 1 mm voxels
    here = mm[:-1:2, :-1:2, :-1:2]
    steps = (mm[1::2, :-1:2, :-1:2], mm[:-1:2, 1::2, :-1:2], mm[:-1:2, :-1:2, 1::2])
    columns = [(step - here).flip(-1) for step in steps]  # d/dx, d/dy, d/dz in the order (x, y, z)

    jacobian = (columns[0] * torch.linalg.cross(columns[1], columns[2])).sum(-1)

    assert jacobian.min() > 0
    assert 0.8 < jacobian.mean() < 1.25
    assert (
        0.5
        < (here.flip(-1) - (identity_grid(FINE_SHAPE)[0] * half_mm)[:-1:2, :-1:2, :-1:2].flip(-1)).std()
        < 6
    )


def test_the_identity_keeps_a_label_map(phantom):
    assert torch.equal(deform(phantom, identity_grid(FINE_SHAPE)), phantom)


def test_deform_invents_no_label(phantom, generator):
    moved = deform(phantom, random_diffeomorphism(generator))

    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == set(phantom.unique().tolist())
    assert 0.005 < (moved != phantom).float().mean() < 0.3


def test_deform_pulls_along_x():
    structures = torch.zeros(FINE_SHAPE, dtype=torch.uint8)
    structures[100, 50, 60] = 7
    where = identity_grid(FINE_SHAPE)
    where[..., 2] += 2 / (FINE_SHAPE[0] - 1) * 10  # look 10 voxels further along x

    assert deform(structures, where).nonzero().tolist() == [[90, 50, 60]]
