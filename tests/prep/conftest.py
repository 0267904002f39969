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


@pytest.fixture(scope="session")
def sloppy() -> PrepConfig:
    return PrepConfig(threads=1, seed=3, sloppy=True)


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """Native world -> model world of the made head: 8 % smaller than the template, turned, shifted."""
    angle = np.deg2rad(6.0)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = 1.08 * rotation
    matrix[:3, 3] = (4.0, -6.0, 9.0)
    return matrix


@pytest.fixture(scope="session")
def native_grid() -> Grid:
    """RAS, 4 mm."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (-100.0, -118.0, -86.0)
    return Grid((50, 58, 44), affine)


@pytest.fixture(scope="session")
def make_head(truth: np.ndarray) -> Callable[[Grid], Volume]:
    """Bright cerebrospinal fluid, grey above white matter, faint noise, and one bright spot on the left."""

    def make(grid: Grid) -> Volume:
        data = template_mask().data * (1.6 - template().data)
        x, y, z = np.ogrid[tuple(slice(n) for n in data.shape)]
        spot = (x - 25) ** 2 + (y - 50) ** 2 + (z - 55) ** 2 < 16
        source = template().like(data + 0.8 * spot)
        clean = resample(source, grid, np.linalg.inv(truth), space="native")
        grain = np.random.default_rng(0).normal(0, 0.02, grid.shape)
        return clean.like(1000 * np.abs(clean.data + grain))

    return make


@pytest.fixture(scope="session")
def head(make_head: Callable[[Grid], Volume], native_grid: Grid) -> Volume:
    return make_head(native_grid)


@pytest.fixture(scope="session")
def stored_as() -> Callable[[Volume, str], Volume]:
    """The same voxels, stored along other axes (by nibabel, not by the package)."""
    import nibabel as nb

    def turn(volume: Volume, codes: str) -> Volume:
        image = nb.Nifti1Image(volume.data, volume.affine)
        change = nb.orientations.ornt_transform(
            nb.orientations.io_orientation(volume.affine), nb.orientations.axcodes2ornt(codes)
        )
        turned = image.as_reoriented(change)
        return Volume(np.asarray(turned.dataobj, np.float32), turned.affine)

    return turn


@pytest.fixture
def save_series(tmp_path: Path) -> Callable[..., Path]:
    """Write volumes as one 4D NIfTI file."""
    import nibabel as nb

    def save(
        volumes: list[np.ndarray], affine: np.ndarray, name: str = "sub-01_task-rest_bold.nii.gz"
    ) -> Path:
        path = tmp_path / name
        nb.save(nb.Nifti1Image(np.stack(volumes, axis=-1), affine), path)
        return path

    return save
