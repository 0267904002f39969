"""Participants that cannot be processed, and what is said of each."""

from __future__ import annotations

import gzip
from typing import NamedTuple

import numpy as np

from pds_bids.core.modality import Modality

from .people import (
    BVALS,
    BVECS,
    Participant,
    Spoil,
    content,
    cut,
    folder,
    grid,
    header,
    linked,
    masked,
    pipe,
    placed,
    renamed,
    scrambled,
    sound_head,
    text,
    uncompressed,
    voxels,
    without,
)

BOLD, DWI = Modality.BOLD, Modality.DWI


class Fault(NamedTuple):
    """One bad input.

    Attributes
    ----------
    name
        What is wrong, for the table of the documentation.
    modality
        Of the series that is spoilt; the other one is missing.
    spoil
        How.
    said
        Words of the message.
    status
        How the visit ends.
    """

    name: str
    modality: Modality
    spoil: Spoil
    said: str
    status: str = "failed"


def _several_tasks(person: Participant) -> None:
    for task in ("nback", "movie"):
        person.series.with_name(f"{person.folder.name}_task-{task}_bold.nii.gz").write_bytes(
            person.series.read_bytes()
        )
    person.series.unlink()


def _one_slice(affine: np.ndarray) -> np.ndarray:
    affine[:3, 2] *= 0.2
    return affine


def _sheared(affine: np.ndarray) -> np.ndarray:
    affine[0, 1] = 3.0
    return affine


def _scaled(factor: float):
    def change(affine: np.ndarray) -> np.ndarray:
        affine[:3, :3] *= factor
        return affine

    return change


def _without_column(affine: np.ndarray) -> np.ndarray:
    affine[:3, 2] = 0
    return affine


def _slab(person: Participant) -> None:
    affine = grid().affine.copy()
    affine[2, 3] += 5.0 * 20
    person.save(sound_head()[:, :, 20:30].astype(np.int16), affine)


def _anatomy_only(person: Participant) -> None:
    anatomy = person.folder / "anat"
    anatomy.mkdir()
    person.series.rename(anatomy / f"{person.folder.name}_T1w.nii.gz")


def _file_for_folder(person: Participant) -> None:
    for path in person.series.parent.iterdir():
        path.unlink()
    person.series.parent.rmdir()
    person.series.parent.write_text("not a folder")


def _vectors(table: np.ndarray) -> str:
    return "\n".join(" ".join(f"{x:.4f}" for x in row) for row in table)


SERIES = [
    Fault("cut off in the middle", BOLD, cut(0.5), "restore"),
    Fault("cut off in the middle", DWI, cut(0.5), "restore"),
    Fault("cut off in the header", BOLD, cut(0.0001), "restore"),
    Fault("uncompressed and cut off", BOLD, uncompressed, "restore"),
    Fault("damaged amid the compressed stream", BOLD, scrambled, "restore"),
    Fault("empty file", BOLD, content(b""), "restore"),
    Fault("empty file", DWI, content(b""), "restore"),
    Fault("text named .nii.gz", BOLD, content(b"version https://git-lfs.github.com/spec/v1\n"), "restore"),
    Fault("compressed text", BOLD, content(gzip.compress(b"not an image" * 100)), "restore"),
    Fault("picture named .nii.gz", BOLD, content(b"\x89PNG\r\n\x1a\n" + bytes(500)), "restore"),
    Fault("folder named .nii.gz", BOLD, folder(), "restore"),
    Fault("pipe named .nii.gz", BOLD, pipe, "restore"),
    Fault("link in a circle", BOLD, linked("./loop/../loop"), "datalad get", "no-source"),
    Fault(
        "link that points nowhere", BOLD, linked("../.git/annex/objects/nowhere"), "datalad get", "no-source"
    ),
    Fault(
        "link that points nowhere", DWI, linked("../.git/annex/objects/nowhere"), "datalad get", "no-source"
    ),
]

HEADERS = [
    Fault("3D image where a series is needed", BOLD, voxels(lambda data: data[..., 0]), "4D series"),
    Fault("3D image where a series is needed", DWI, voxels(lambda data: data[..., 0]), "4D series"),
    Fault("series of one volume", BOLD, voxels(lambda data: data[..., :1]), "4D series"),
    Fault("five dimensions", BOLD, voxels(lambda data: data[..., None, :]), "4D series"),
    Fault("complex voxels", BOLD, voxels(lambda data: data.astype(np.complex64)), "magnitude"),
    Fault("unknown type of voxels", BOLD, header(datatype=777), "restore"),
    Fault("size of zero", BOLD, header(dim=[4, 0, 47, 36, 8, 1, 1, 1]), "4D series"),
    Fault("negative size", BOLD, header(dim=[4, -40, 47, 36, 8, 1, 1, 1]), "4D series"),
    Fault("number of dimensions out of range", BOLD, header(dim=[9, 40, 47, 36, 8, 1, 1, 1]), "restore"),
    Fault(
        "header that promises more voxels than there are",
        BOLD,
        header(dim=[4, 120, 120, 120, 8, 1, 1, 1]),
        "restore",
    ),
    Fault(
        "header that promises terabytes",
        BOLD,
        header(
            dim=[4, 1900, 1900, 1900, 30000, 1, 1, 1],
            srow_x=[0.31, 0, 0, 0],
            srow_y=[0, 0.31, 0, 0],
            srow_z=[0, 0, 0.31, 0],
        ),
        "restore",
    ),
    Fault("offset of the voxels beyond the file", BOLD, header(vox_offset=1e9), "restore"),
    Fault("singular affine", BOLD, placed(_without_column), "singular"),
    Fault("affine of NaN", BOLD, header(srow_x=[np.nan] * 4), "singular"),
    Fault("sheared affine", BOLD, placed(_sheared), "sheared"),
    Fault("voxels of 25 cm", BOLD, placed(_scaled(50)), "outside 0.3-12 mm"),
    Fault("lengths in metres", BOLD, placed(_scaled(0.001)), "outside 0.3-12 mm"),
    Fault("field of view of 36 mm", BOLD, placed(_one_slice), "field of view"),
]

VOXELS = [
    Fault("every voxel NaN", BOLD, masked(1, np.nan), "NaN or infinite"),
    Fault("every voxel infinite", DWI, masked(1, np.inf), "NaN or infinite"),
    Fault("a fifth of the voxels NaN", BOLD, masked(0.2, np.nan), "NaN or infinite"),
    Fault("constant volumes", BOLD, masked(1, 7.0), "constant"),
    Fault("constant volumes", DWI, masked(1, 7.0), "constant"),
    Fault("volumes of zeros", BOLD, masked(1, 0.0), "constant"),
    Fault(
        "noise and no head",
        BOLD,
        voxels(lambda data: np.random.default_rng(2).normal(100, 20, data.shape)),
        "look like brain",
    ),
    Fault("negative intensities", BOLD, voxels(lambda data: -data), "no positive intensities"),
    Fault("a slab of the brain", BOLD, _slab, ""),
]

SIDE_FILES = [
    Fault("sidecar that is no JSON", BOLD, text(".json", "{"), "repair the file"),
    Fault("sidecar that is a list", BOLD, text(".json", "[1, 2]"), "repair the file"),
    Fault("sidecar that is not UTF-8", BOLD, content(b'{"a": "\xff\xfe"}', ".json"), "repair the file"),
    Fault("sidecar that is empty", DWI, text(".json", ""), "repair the file"),
    Fault("sidecar that is a link to nowhere", BOLD, linked("nowhere", ".json"), "datalad get"),
    Fault("no b-values", DWI, without(".bval"), "is missing"),
    Fault("no gradient directions", DWI, without(".bvec"), "is missing"),
    Fault("b-values that are a link to nowhere", DWI, linked("nowhere", ".bval"), "datalad get"),
    Fault("too few b-values", DWI, text(".bval", "0 1000 1000"), "3 b-values for 8 volumes"),
    Fault("too many b-values", DWI, text(".bval", f"{BVALS.strip()} 1000"), "9 b-values for 8 volumes"),
    Fault("b-values in words", DWI, text(".bval", BVALS.replace("1000", "high")), "not a table of numbers"),
    Fault("b-values that are binary", DWI, content(bytes(range(256)), ".bval"), "not a table of numbers"),
    Fault("no b-value in the file", DWI, text(".bval", "\n"), "is empty"),
    Fault("b-value of NaN", DWI, text(".bval", BVALS.replace("0 0", "0 nan")), "NaN or infinite"),
    Fault("negative b-value", DWI, text(".bval", BVALS.replace("0 0", "0 -5")), "negative"),
    Fault("nothing but b = 0", DWI, text(".bval", "0 " * 8), "only b = 0"),
    Fault("b-values that are a folder", DWI, folder(".bval"), "is missing"),
    Fault("too few directions", DWI, text(".bvec", "1 0\n0 1\n0 0"), "3 rows and 2 columns"),
    Fault(
        "rows of unequal length",
        DWI,
        text(".bvec", BVECS.replace("0 0 1", "0 1", 1)),
        "not a table of numbers",
    ),
    Fault(
        "directions that are no unit vectors",
        DWI,
        text(".bvec", _vectors(np.full((3, 8), 3.0))),
        "not unit vectors",
    ),
    Fault("directions of zero", DWI, text(".bvec", _vectors(np.zeros((3, 8)))), "not unit vectors"),
]

NAMES = [
    Fault("several tasks, none of them rest", BOLD, _several_tasks, "--task-id"),
    Fault(
        "name with a word too many", BOLD, renamed("SUB_task-my_rest_bold.nii.gz"), "rename it", "no-source"
    ),
    Fault(
        "name of another participant",
        BOLD,
        renamed("sub-other_task-rest_bold.nii.gz"),
        "rename it",
        "no-source",
    ),
    Fault(
        "only phase images",
        BOLD,
        renamed("SUB_task-rest_part-phase_bold.nii.gz"),
        "nothing to synthesise from",
        "no-source",
    ),
    Fault("neither modality, only anatomy", BOLD, _anatomy_only, "nothing to synthesise from", "no-source"),
    Fault(
        "file in place of the func folder", BOLD, _file_for_folder, "nothing to synthesise from", "no-source"
    ),
]

FAULTS = [*SERIES, *HEADERS, *VOXELS, *SIDE_FILES, *NAMES]
