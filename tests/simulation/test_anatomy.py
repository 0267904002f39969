from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import (
    FINE_ORIGIN_MM,
    FINE_SHAPE,
    FREESURFER_LABELS,
    TISSUES,
    Structure,
    structure_codes,
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


@pytest.mark.parametrize(
    ("number", "structure"),
    [(1035, Structure.CORTEX), (2024, Structure.CORTEX), (12175, Structure.CORTEX), (3001, Structure.WHITE)],
)
def test_parcels_of_the_cortex_are_cortex(number, structure):
    assert structure_codes(np.array([number])) == structure
    assert structure_codes(np.array([0])) == Structure.AIR  # whatever the largest number is


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
