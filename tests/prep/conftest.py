"""A head made of the template: EPI-like contrast, no shared data, known geometry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Grid, Volume
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.resampling import resample

SLOPPY = PrepConfig(threads=1, seed=3, sloppy=True)


def true_to_model() -> np.ndarray:
    """Where the made head lies: 8 % smaller than the template, turned by 6 degrees, shifted."""
    angle = np.deg2rad(6.0)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = 1.08 * rotation
    matrix[:3, 3] = (4.0, -6.0, 9.0)
    return matrix


def native_grid(voxel_mm: float = 4.0, slices: int = 40) -> Grid:
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = (-100.0, -118.0, -86.0)
    return Grid((50, 58, slices), affine)


def make_head(grid: Grid, noise: float = 0.02) -> Volume:
    """Bright cerebrospinal fluid, grey above white matter, faint noise all around, and one bright left spot."""
    data = template_mask().data * (1.6 - template().data)
    x, y, z = np.meshgrid(*(np.arange(n) for n in data.shape), indexing="ij")
    data = data + 0.8 * template_mask().data * (((x - 25) ** 2 + (y - 50) ** 2 + (z - 55) ** 2) < 16)
    head = resample(template().like(data), grid, np.linalg.inv(true_to_model()), space="native")
    grain = np.random.default_rng(0).normal(0, noise, grid.shape)
    return head.like(1000 * np.abs(head.data + grain))


@pytest.fixture(scope="session")
def head() -> Volume:
    return make_head(native_grid())


@pytest.fixture
def save_series(tmp_path: Path) -> Callable[..., Path]:
    """Write volumes as one 4D NIfTI file."""
    import nibabel as nb

    def save(volumes: list[np.ndarray], affine: np.ndarray, name: str = "sub-01_task-rest_bold.nii.gz") -> Path:
        path = tmp_path / name
        nb.save(nb.Nifti1Image(np.stack(volumes, axis=-1), affine), path)
        return path

    return save
