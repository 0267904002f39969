"""Odd inputs that are no reason to give up: what is said of each beside the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import nibabel as nb
import numpy as np

from pds_bids.core.modality import Modality

from .people import BVALS, BVECS, Participant, Spoil, content, header, masked, sound_head, text, voxels

BOLD, DWI = Modality.BOLD, Modality.DWI


class Blemish(NamedTuple):
    """One odd input, as `Fault`, that ends `complete`; what is said may be empty."""

    name: str
    modality: Modality
    spoil: Spoil
    said: str


def _emptied(data: np.ndarray) -> np.ndarray:
    data[..., :2] = 0
    return data


def _stored(codes: str) -> Spoil:
    """The same head along other axes."""

    def spoil(person: Participant) -> None:
        image = nb.load(person.series)
        turn = nb.orientations.ornt_transform(
            nb.io_orientation(image.affine), nb.orientations.axcodes2ornt(codes)
        )
        turned = image.as_reoriented(turn)
        person.save(np.asarray(turned.dataobj), turned.affine)

    return spoil


def _oblique(person: Participant) -> None:
    affine = nb.load(person.series).affine
    turn = nb.affines.from_matvec(nb.eulerangles.euler2mat(0.1, 0.15, -0.1))
    person.save(sound_head().astype(np.int16), turn @ affine)


def _second_run(person: Participant) -> None:
    name = person.series.name.replace("_bold", "_run-2_bold")
    person.series.with_name(name).write_bytes(person.series.read_bytes())


def _t1w(data: bytes) -> Spoil:
    def spoil(person: Participant) -> None:
        path = person.folder / "anat" / f"{person.folder.name}_T1w.nii.gz"
        path.parent.mkdir()
        path.write_bytes(data)

    return spoil


def _both(*spoils: Spoil) -> Callable[[Participant], None]:
    def spoil(person: Participant) -> None:
        for each in spoils:
            each(person)

    return spoil


BLEMISHES = [
    Blemish("one voxel in a hundred NaN", BOLD, masked(0.01, np.nan), "were set to 0"),
    Blemish("two empty volumes", BOLD, voxels(_emptied), "2 empty volume(s) were left out"),
    Blemish("two volumes", BOLD, voxels(lambda data: data[..., :2]), "expect noise"),
    Blemish(
        "no affine",
        BOLD,
        header(sform_code=0, qform_code=0, pixdim=[1, 5, 5, 5, 2, 0, 0, 0]),
        "left and right are a guess",
    ),
    Blemish("sform and qform disagree", BOLD, header(qform_code=1, qoffset_x=50.0), "the sform is used"),
    Blemish("stored from front to back (PSR)", BOLD, _stored("PSR"), ""),
    Blemish("oblique", BOLD, _oblique, ""),
    Blemish("floating point of large numbers", BOLD, voxels(lambda data: data * 1e6), ""),
    Blemish("two runs", BOLD, _second_run, "2 runs: used"),
    Blemish("T1w image that is no image", BOLD, _t1w(b"none"), "went to the template directly"),
    Blemish(
        "gradient directions in columns",
        DWI,
        text(".bvec", "\n".join(map(" ".join, zip(*map(str.split, BVECS.splitlines()), strict=True)))),
        "was transposed",
    ),
    Blemish(
        "no b = 0 volume",
        DWI,
        _both(text(".bval", "1000 " * 8), text(".bvec", "1 " * 8 + "\n" + "0 " * 8 + "\n" + "0 " * 8)),
        "no b = 0 volume",
    ),
    Blemish("b = 3000 alone", DWI, text(".bval", BVALS.replace("1000", "3000")), "differs from training"),
    Blemish(
        "gradient tables that end lines as Windows does",
        DWI,
        content(BVECS.replace("\n", "\r\n").encode(), ".bvec"),
        "",
    ),
]
