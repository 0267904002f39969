"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import gzip
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pds_bids.core.errors import CannotWriteError, PdsError, TemporaryError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_SPACE, Volume

PARTIAL_MARK = ".partial-"
"""Begins the name of every unfinished file; hidden, so that no BIDS tool looks at one."""

OUTPUT_FOLDERS = (*(modality.datatype for modality in Modality), "anat", "figures")
"""Where a visit's results lie, below its own folder; a `ses-*` folder beside them is another visit's."""

_DESCRIP_BYTES = 79
_QFORM_DRIFT_MM = 0.1
"""Most that qform and sform may differ anywhere; near half a turn a float32 quaternion is coarse."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ACCESS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT}
)

_XFORM_CODES = {"native": 1, MODEL_SPACE: 2}
_STANDARD_SPACE_CODE = 4
"""NIfTI-1: 1 scanner, 2 aligned to another image, 4 MNI 152."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when it is complete.

    Parameters
    ----------
    path
        The final file; its folder is made.

    Yields
    ------
    Path
        A name in the same folder with the same extension, to be written by whatever tool.

    Raises
    ------
    TemporaryError
        If the disk is full.
    CannotWriteError
        If the folder may not be written.
    """
    partial = path.with_name(f"{PARTIAL_MARK}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        os.replace(partial, path)
        with suppress(OSError):  # some network file systems cannot sync a folder; the rename stands
            _sync(path.parent)
    except OSError as error:
        explained = _explain(path, error)
        if explained is None:
            raise
        raise explained from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)


def require_writable(folder: Path, remedy: str) -> None:
    """Make a folder, and find out now rather than after an hour that nothing can be written there.

    Parameters
    ----------
    folder
        Its parents are made too.
    remedy
        What the user is told to do where it cannot be written.

    Raises
    ------
    TemporaryError, CannotWriteError
        As `atomic_write`, about the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=PARTIAL_MARK, dir=folder):
            pass
    except OSError as error:
        explained = _explain(folder, error, remedy)
        if explained is None:
            raise
        raise explained from error


def remove_partial(folder: Path) -> None:
    """Delete what a killed run left unfinished in a visit's folder; nobody else may be writing there.

    Another process may be at work in the sessions below a subject's folder: those are left alone.
    """
    pattern = f"{PARTIAL_MARK}*"
    below = (partial for name in (*OUTPUT_FOLDERS, "log") for partial in (folder / name).rglob(pattern))
    for partial in (*folder.glob(pattern), *below):
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; a file that already says the same is left alone.

    What has no UTF-8, such as a byte of an old file name, is escaped as in JSON.
    """
    content = text.encode(errors="backslashreplace")
    if path.is_file() and path.read_bytes() == content:
        return
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, in the order of its keys as given."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_volume(path: Path, volume: Volume, *, description: str, dtype: DTypeLike = np.float32) -> None:
    """Write a volume as NIfTI-1, byte-identical whenever it is written again.

    Parameters
    ----------
    path
        `.nii` or `.nii.gz`.
    volume
        Its space decides the codes of qform and sform.
    description
        Kept in the header's `descrip`, where it survives the loss of the sidecar; at most 79 bytes.
    dtype
        Stored type; values are rounded for an integer type.

    Raises
    ------
    ValueError
        If values do not fit an integer type.
    TemporaryError, CannotWriteError
        As `atomic_write`.
    """
    import nibabel as nb

    image = nb.Nifti1Image(_cast(volume.data, np.dtype(dtype)), volume.affine)
    code = _XFORM_CODES.get(volume.space, _STANDARD_SPACE_CODE)
    image.set_sform(volume.affine, code)
    image.set_qform(volume.affine, code)
    error = np.abs(image.get_qform() - volume.affine)[:3, :3]
    if (error @ volume.data.shape).max() > _QFORM_DRIFT_MM:
        image.set_qform(None)  # a quaternion cannot hold shears: better none than one against the sform
    image.header.set_xyzt_units("mm")
    _write_nifti(path, image, description)


def write_image(
    path: Path,
    data: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    description: str,
    repetition_s: float | None = None,
) -> None:
    """Write a raw image as a scanner's converter does, values and type as they are.

    Parameters
    ----------
    data
        (X, Y, Z), or (X, Y, Z, T) with `repetition_s` between volumes.

    Raises
    ------
    TemporaryError, CannotWriteError
        As `atomic_write`.
    """
    import nibabel as nb

    image = nb.Nifti1Image(data, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    if repetition_s is not None:
        image.header["pixdim"][4] = repetition_s
    _write_nifti(path, image, description)


def _write_nifti(path: Path, image: Any, description: str) -> None:
    image.header["descrip"] = description.encode("ascii", "replace")[:_DESCRIP_BYTES]
    content = image.to_bytes()
    with atomic_write(path) as partial:
        partial.write_bytes(gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)


def _cast(data: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if np.issubdtype(dtype, np.floating):
        return data.astype(dtype)
    rounded = np.rint(data)
    limits = np.iinfo(dtype)
    if not (np.isfinite(rounded).all() and rounded.min() >= limits.min and rounded.max() <= limits.max):
        raise ValueError(f"values of {rounded.min()} to {rounded.max()} do not fit {dtype}")
    stored: NDArray[Any] = rounded.astype(dtype)
    return stored


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(path: Path, error: OSError, remedy: str = "choose another output folder") -> PdsError | None:
    if error.errno in _NO_SPACE:
        return TemporaryError(f"{path}: the disk is full; free some and run again, finished work is kept")
    if error.errno in _NO_ACCESS:
        return CannotWriteError(f"{path}: cannot be written ({error.strerror}); {remedy}")
    return None
