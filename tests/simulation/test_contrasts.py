"""Contrasts of whole simulated series, noise and averaging included, against the signal equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import FINE_SHAPE, Structure
from pds_bids.simulation.head import Head
from pds_bids.simulation.physics import gre_signal, spin_echo_signal, tissue_properties, trace_signal
from pds_bids.simulation.scanner import Pose, native_grid, point_spread, render, rigid
from pds_bids.simulation.series import ACQUIRE, UNSTEADY_VOLUMES
from pds_bids.simulation.sites import Protocol

TABLE = tissue_properties()
POSE = Pose(rigid(np.array([5.0, -3.0, 8.0]), np.array([0.0, -17.0, 6.0])))
GRID = {"shape": (64, 76, 70), "voxel_mm": (2.5, 2.5, 2.5), "orientation": "LPS"}
BOLD = Protocol(**GRID, tr_s=3, te_s=0.030, flip_deg=90, n_volumes=8, snr=90, bias_sd=0, motion_mm=0)
DWI = Protocol(
    **GRID,
    tr_s=9,
    te_s=0.085,
    flip_deg=90,
    n_volumes=26,
    snr=28,
    bias_sd=0,
    motion_mm=0,
    b_value=1000,
    n_b0=2,
)
COMPARED = (Structure.WHITE, Structure.CSF, Structure.PUTAMEN, Structure.PALLIDUM)


@pytest.fixture(scope="module")
def head() -> Head:
    """A block of cortex that holds a block of each structure; fibres turn from front to back."""
    structures = torch.zeros(FINE_SHAPE, dtype=torch.uint8)
    structures[20:140, 30:170, 30:150] = Structure.CORTEX
    corners = [(x, y) for x in (30, 90) for y in (40, 110)]
    for structure, (x, y) in zip(COMPARED, corners, strict=True):
        structures[x : x + 40, y : y + 40, 60:120] = structure
    angle = torch.linspace(0, np.pi, MODEL_GRID.shape[1])[None, :, None].expand(MODEL_GRID.shape)
    fibres = torch.stack([angle.cos(), angle.sin(), torch.zeros(MODEL_GRID.shape)])
    field = torch.zeros(MODEL_GRID.shape)
    return Head(structures, torch.zeros_like(structures), TABLE.at(structures), fibres, field)


def pure(head: Head, structure: Structure) -> Tensor:
    """Native voxels that hold more than 95 % of one structure, point spread included."""
    native = native_grid(BOLD.shape, BOLD.voxel_mm, BOLD.orientation)
    share = F.avg_pool3d((head.structures == structure)[None].float(), 2)
    return render(point_spread(share, native, POSE), MODEL_GRID, native, POSE.to_model)[0] > 0.95


def assert_contrasts(head: Head, image: Tensor, signal: Tensor) -> None:
    cortex = image[pure(head, Structure.CORTEX)].mean()
    for structure in COMPARED:
        measured = float(image[pure(head, structure)].mean() / cortex)
        assert measured == pytest.approx(float(signal[structure] / signal[Structure.CORTEX]), rel=0.05)


def test_bold_contrasts_are_those_of_the_equation(head, generator):
    series = ACQUIRE[Modality.BOLD](head, BOLD, POSE, generator).data

    assert_contrasts(head, series[..., UNSTEADY_VOLUMES:].mean(-1), gre_signal(TABLE, 3000, 30, 90))


def test_dwi_contrasts_are_those_of_the_equations(head, generator):
    series = ACQUIRE[Modality.DWI](head, DWI, POSE, generator).data
    weighted = torch.from_numpy(DWI.weighted)

    assert_contrasts(head, series[..., ~weighted].mean(-1), spin_echo_signal(TABLE, 9000, 85))
    assert_contrasts(head, series[..., weighted].mean(-1), trace_signal(TABLE, 9000, 85, 1000))
