"""A dataset of small sound participants, and the ways to spoil one."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from pds_bids.core.modality import Modality
from pds_bids.core.volume import Grid
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.resampling import resample

N_VOLUMES = 8
BVALS = "0 0 1000 1000 1000 1000 1000 1000\n"
BVECS = "0 0 1 0 0 .7071 .7071 0\n0 0 0 1 0 .7071 0 .7071\n0 0 0 0 1 0 .7071 .7071\n"

DESCRIPTION = {"Name": "Faulty", "BIDSVersion": "1.10.0"}


def grid() -> Grid:
    """Where the voxels of a sound participant are: 5 mm, RAS."""
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = (-97.5, -122.5, -87.5)
    return Grid((40, 47, 36), affine)


@cache
def sound_head() -> NDArray[np.float32]:
    """(X, Y, Z, T) a head with the contrast of an EPI, made of the template, with faint noise."""
    head = template_mask().like(template_mask().data * (1.6 - template().data))
    clean = 1000 * resample(head, grid(), np.eye(4), space="native").data.clip(0)
    grain = np.random.default_rng(0).normal(0, 15, (*clean.shape, N_VOLUMES))
    return np.abs(clean[..., None] + grain).astype(np.float32)


@dataclass(frozen=True)
class Participant:
    """One participant of a raw dataset with one acquired series.

    Attributes
    ----------
    folder
        Its `sub-*` folder.
    modality
        What was acquired.
    """

    folder: Path
    modality: Modality

    def file(self, end: str) -> Path:
        """A file of the series, such as `.nii.gz` or `.bval`."""
        task = "_task-rest" if self.modality is Modality.BOLD else ""
        name = f"{self.folder.name}{task}_{self.modality.value}{end}"
        return self.folder / self.modality.datatype / name

    @property
    def series(self) -> Path:
        """The image."""
        return self.file(".nii.gz")

    def save(self, data: NDArray[Any], affine: NDArray[np.float64] | None = None) -> None:
        """Write other voxels, on the sound grid or with another affine."""
        image = nb.Nifti1Image(data, None)
        image.header.set_xyzt_units("mm", "sec")
        image.set_sform(grid().affine if affine is None else affine, 1)
        self.series.write_bytes(gzip.compress(image.to_bytes(), 1, mtime=0))


def add_participant(bids: Path, name: str, modality: Modality) -> Participant:
    """A sound one, named like `sub-01`."""
    person = Participant(bids / name, modality)
    person.series.parent.mkdir(parents=True)
    person.save(sound_head().astype(np.int16))
    person.file(".json").write_text(json.dumps({"RepetitionTime": 2.0, "TaskName": "rest"}))
    if modality is Modality.DWI:
        person.file(".bval").write_text(BVALS)
        person.file(".bvec").write_text(BVECS)
    return person


def add_description(bids: Path) -> None:
    """What makes a folder a dataset."""
    bids.mkdir(parents=True, exist_ok=True)
    (bids / "dataset_description.json").write_text(json.dumps(DESCRIPTION))


Spoil = Callable[[Participant], object]


def content(data: bytes, end: str = ".nii.gz") -> Spoil:
    """Other bytes in a file of the series."""
    return lambda person: person.file(end).write_bytes(data)


def text(end: str, words: str) -> Spoil:
    """Other words in a file of the series."""
    return content(words.encode(), end)


def without(end: str) -> Spoil:
    """A file of the series left out."""
    return lambda person: person.file(end).unlink()


def linked(to: str, end: str = ".nii.gz") -> Spoil:
    """A link in place of a file."""

    def spoil(person: Participant) -> None:
        person.file(end).unlink(missing_ok=True)
        person.file(end).symlink_to(to)

    return spoil


def folder(end: str = ".nii.gz") -> Spoil:
    """A folder in place of a file."""

    def spoil(person: Participant) -> None:
        person.file(end).unlink()
        person.file(end).mkdir()

    return spoil


def pipe(person: Participant) -> None:
    """A pipe in place of the image: whoever opens it waits for ever."""
    person.series.unlink()
    os.mkfifo(person.series)


def cut(share: float) -> Spoil:
    """The image without its end."""

    def spoil(person: Participant) -> None:
        whole = person.series.read_bytes()
        person.series.write_bytes(whole[: int(share * len(whole))])

    return spoil


def scrambled(person: Participant) -> None:
    """Some bytes amid the compressed image changed."""
    whole = bytearray(person.series.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 64] = bytes(64)
    person.series.write_bytes(whole)


def uncompressed(person: Participant) -> None:
    """A plain NIfTI whose second half is lost."""
    whole = gzip.decompress(person.series.read_bytes())
    person.series.unlink()
    person.file(".nii").write_bytes(whole[: len(whole) // 2])


def renamed(name: str) -> Spoil:
    """Another name for the image; SUB stands for the participant."""
    return lambda person: person.series.rename(
        person.series.with_name(name.replace("SUB", person.folder.name))
    )


def voxels(change: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Spoil:
    """Other voxels."""
    return lambda person: person.save(change(sound_head().copy()))


def masked(share: float, value: float) -> Spoil:
    """One value in a share of the voxels."""

    def change(data: NDArray[np.float32]) -> NDArray[np.float32]:
        data[np.random.default_rng(1).random(data.shape) < share] = value
        return data

    return voxels(change)


def placed(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Spoil:
    """Another affine."""
    return lambda person: person.save(sound_head().astype(np.int16), change(grid().affine.copy()))


def header(**fields: Any) -> Spoil:
    """Other values in fields of the NIfTI header, whatever the library that wrote it would say."""

    def spoil(person: Participant) -> None:
        whole = bytearray(gzip.decompress(person.series.read_bytes()))
        told = np.frombuffer(whole, nb.nifti1.header_dtype, count=1)
        for name, value in fields.items():
            told[name][0] = value
        person.series.write_bytes(gzip.compress(bytes(whole), 1, mtime=0))

    return spoil
