"""A 4D NIfTI series: opened, checked, and read one volume at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.errors import ParticipantError
from pds_bids.core.volume import Grid, Volume, quiet_headers, require_intact
from pds_bids.prep.conversion import Matrix, is_sheared
from pds_bids.prep.failures import failures_of

MAX_NONFINITE = 0.05
"""Fraction of NaN or infinite voxels beyond which a volume is broken rather than blemished."""

UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error)
"""What nibabel raises for truncated, foreign or corrupt files, and for colours instead of numbers."""

NO_AFFINE = "no affine in the header (neither sform nor qform): place, left and right are a guess"
TWO_AFFINES = "sform and qform disagree: the sform is used"
HEADER_WARNINGS = frozenset({NO_AFFINE, TWO_AFFINES})

VOXEL_LIMITS_MM = (0.3, 12.0)
EXTENT_LIMITS_MM = (40.0, 600.0)


@dataclass(frozen=True)
class Series:
    """A checked 4D image on disk.

    Attributes
    ----------
    path
        The file.
    image
        The nibabel image; its voxels are not loaded.
    warnings
        What is odd about the header and yet usable.
    """

    path: Path
    image: Any
    warnings: tuple[str, ...]

    @property
    def n_volumes(self) -> int:
        """Length of the fourth axis."""
        return int(self.image.shape[3])

    @property
    def grid(self) -> Grid:
        """Of each volume, axes as stored."""
        x, y, z = self.image.shape[:3]
        return Grid((int(x), int(y), int(z)), np.asarray(self.image.affine, np.float64))

    def volumes(self, indices: Sequence[int]) -> Iterator[Volume]:
        """Read some volumes, scaled as the header says, in rising order: a gzip stream only runs forward.

        Raises
        ------
        ParticipantError
            If the file is truncated.
        """
        for index in sorted(indices):
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # what overflows is counted as infinite
                    data = np.asarray(self.image.dataobj[..., index], np.float32)
            except UNREADABLE as error:
                fault = f"volume {index} cannot be read ({error})"
                raise ParticipantError(self.path, fault, "restore the complete file") from error
            yield Volume(data, self.grid.affine)


def finite(data: NDArray[np.float32], path: Path, name: str) -> NDArray[np.float32]:
    """Set a few NaN or infinite voxels to 0.

    Raises
    ------
    ParticipantError
        If there are more than 5 % of them.
    """
    good = np.isfinite(data)
    share = 1.0 - float(good.mean())
    if share > MAX_NONFINITE:
        fault = f"{name} has {share:.0%} NaN or infinite voxels"
        raise ParticipantError(path, fault, "export the image again")
    return data if share == 0 else np.where(good, data, np.float32(0))


def open_series(path: Path) -> Series:
    """Open a 4D NIfTI file and check its header.

    Raises
    ------
    ParticipantError
        If the file is no readable NIfTI (1 or 2), is damaged, is complex, is not 4D, has a single volume, or
        an impossible affine.
    """
    import nibabel as nb

    try:
        with quiet_headers():
            image = nb.load(path, keep_file_open=True)
        if not isinstance(image, nb.Nifti1Image):  # NIfTI-2 derives from it
            raise ValueError(f"it is a {type(image).__name__}")
    except _unopenable() as error:
        raise ParticipantError(path, f"is not a readable NIfTI file ({error})", "restore the file") from error
    require_intact(path)
    if len(image.shape) != 4 or image.shape[3] < 2:
        fault = f"has shape {image.shape}, a 4D series of at least 2 volumes is needed"
        raise ParticipantError(path, fault, "give the whole series")
    if image.get_data_dtype().kind == "c":
        raise complex_voxels(path)
    notes = _header_warnings(image)
    with failures_of(path, notes):
        check_geometry(path, np.asarray(image.affine), image.shape[:3])
    return Series(path, image, notes)


def complex_voxels(path: Path) -> ParticipantError:
    """The error for an image of complex numbers: which part of them is meant is not for us to say."""
    return ParticipantError(path, "has complex voxels", "give the magnitude image")


def check_geometry(path: Path, affine: Matrix, shape: Sequence[int]) -> None:
    """Raise `ParticipantError` unless shape and affine can be those of a head."""
    remedy = "correct the sform/qform, e.g. by converting from DICOM again"
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise ParticipantError(path, "the affine is singular", remedy)
    if is_sheared(affine):
        raise ParticipantError(path, "the affine is sheared", "resample the image to orthogonal axes")
    voxel_mm = np.linalg.norm(affine[:3, :3], axis=0)
    extent_mm = voxel_mm * shape
    for what, sizes, (low, high) in (
        ("voxels", voxel_mm, VOXEL_LIMITS_MM),
        ("a field of view", extent_mm, EXTENT_LIMITS_MM),
    ):
        if sizes.min() < low or sizes.max() > high:
            listed = " x ".join(f"{size:.3g}" for size in sizes)
            raise ParticipantError(path, f"has {what} of {listed} mm, outside {low:g}-{high:g} mm", remedy)


def _unopenable() -> tuple[type[BaseException], ...]:
    import nibabel as nb

    return (
        *UNREADABLE,
        nb.filebasedimages.ImageFileError,
        nb.spatialimages.HeaderDataError,
        nb.wrapstruct.WrapStructError,
    )


def _header_warnings(image: Any) -> tuple[str, ...]:
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if sform_code == 0 and qform_code == 0:
        return (NO_AFFINE,)
    if sform_code and qform_code and not np.allclose(sform, qform, atol=0.1):
        return (TWO_AFFINES,)
    return ()
