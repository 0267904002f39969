"""An array that never loses its grid."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import GridMismatch, ParticipantError

ATLAS_SPACE = "MNI152NLin2009aSym"
"""Standard space of the outputs: the ICBM template inside nilearn's wheel."""

MODEL_SPACE = "model"
"""The subject's brain affinely aligned to the atlas, on `MODEL_GRID`: what the networks see."""


@dataclass(frozen=True)
class Grid:
    """Where voxels are.

    Attributes
    ----------
    shape
        Number of voxels along (X, Y, Z).
    affine
        (4, 4) voxel index -> RAS+ mm, float64.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def matches(self, other: Grid) -> bool:
        """Same shape, and the same place to within a thousandth of a millimetre."""
        return self.shape == other.shape and np.allclose(self.affine, other.affine, atol=1e-3)

    @property
    def voxel_mm(self) -> NDArray[np.float64]:
        """(3,) voxel edge lengths in mm."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return lengths


MODEL_GRID = Grid(
    (80, 96, 88),
    np.array([[2.0, 0.0, 0.0, -79.0], [0.0, 2.0, 0.0, -112.0], [0.0, 0.0, 2.0, -82.0], [0.0, 0.0, 0.0, 1.0]]),
)
"""2 mm grid of the networks: left-right symmetric, the ICBM brain inside with margins."""


@dataclass(frozen=True)
class Volume:
    """A 3D image.

    Attributes
    ----------
    data
        (X, Y, Z) float32.
    affine
        (4, 4) voxel index -> RAS+ mm.
    space
        `native`, `model` or the name of a standard space.

    Raises
    ------
    GridMismatch
        If `data` is not three-dimensional.
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    space: str = "native"

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise GridMismatch(f"a volume has 3 dimensions, got shape {self.data.shape}")

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        x, y, z = self.data.shape
        return Grid((x, y, z), self.affine)

    def like(self, data: NDArray[Any]) -> Volume:
        """New values on the same grid.

        Parameters
        ----------
        data
            (X, Y, Z), converted to float32.

        Raises
        ------
        GridMismatch
            If the shape differs.

        Examples
        --------
        >>> volume = Volume(np.zeros((2, 2, 2), "float32"), np.eye(4))
        >>> volume.like(np.ones((2, 2, 2))).data.sum()
        np.float32(8.0)
        """
        if data.shape != self.data.shape:
            raise GridMismatch(f"expected shape {self.data.shape}, got {data.shape}")
        return replace(self, data=np.asarray(data, np.float32))

    def require(self, other: Volume) -> None:
        """Raise `GridMismatch` unless `other` lies on this volume's grid."""
        if not self.grid.matches(other.grid):
            raise GridMismatch(
                f"grids differ: {self.data.shape} in {self.space}, {other.data.shape} in {other.space}"
            )


_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)
_CHUNK = 2**22


@contextmanager
def quiet_headers() -> Iterator[None]:
    """Keep nibabel from printing what it mends in a header."""
    logger = logging.getLogger("nibabel.global")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def require_intact(path: Path) -> None:
    """Read a compressed file to its end, where its checksum stands; voxels alone end before it.

    Raises
    ------
    ParticipantError
        If bytes were changed or lost since it was compressed.
    """
    if path.suffix != ".gz":
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise ParticipantError(path, f"cannot be read ({error})", "restore the complete file") from error


def load_volume(path: Path, space: str = "native") -> Volume:
    """Read a 3D NIfTI image whole.

    Parameters
    ----------
    path
        `.nii` or `.nii.gz`; trailing axes of length one are dropped.
    space
        Recorded in the volume.

    Raises
    ------
    ParticipantError
        If the file is unreadable, truncated, not NIfTI, or not 3D.
    """
    import nibabel as nb

    malformed = (
        nb.filebasedimages.ImageFileError,
        nb.spatialimages.HeaderDataError,
        nb.wrapstruct.WrapStructError,
    )
    require_intact(path)
    try:
        image = nb.load(path)
        if not isinstance(image, nb.spatialimages.SpatialImage):
            raise ValueError(f"a {type(image).__name__} is no image of voxels")
        data = np.asarray(image.dataobj, np.float32)
    except (*_UNREADABLE, *malformed) as error:
        raise ParticipantError(path, f"cannot be read ({error})", "restore the file") from error
    if data.ndim > 3 and set(data.shape[3:]) == {1}:
        data = data.reshape(data.shape[:3])
    if data.ndim != 3:
        raise ParticipantError(path, f"has shape {data.shape}, a 3D image is needed", "check the file")
    return Volume(data, np.asarray(image.affine, np.float64), space)
