"""Whole runs that cannot begin, or cannot be finished, and what is said of each."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file

from pds_bids.core.modality import Modality

from .people import DESCRIPTION, Participant


class Place(NamedTuple):
    """Where a run reads and writes.

    Attributes
    ----------
    bids
        A sound dataset of one participant, `sub-01`, with BOLD.
    out
        The output folder, which is not there yet.
    """

    bids: Path
    out: Path

    @property
    def person(self) -> Participant:
        """The only participant."""
        return Participant(self.bids / "sub-01", Modality.BOLD)


class RunFault(NamedTuple):
    """One run that goes wrong.

    Attributes
    ----------
    name
        What is wrong, for the table of the documentation.
    spoil
        How.
    code
        The exit code.
    said
        Words of the message.
    call
        The command line after `pds-bids`; BIDS, OUT and HERE (the folder of both) are filled in.
    """

    name: str
    spoil: Callable[[Place], object]
    code: int
    said: str
    call: str = "BIDS OUT participant"


def _nothing(place: Place) -> None:
    """The fault is in the command line."""


def _description(content: bytes) -> Callable[[Place], object]:
    return lambda place: (place.bids / "dataset_description.json").write_bytes(content)


def _described(**other: object) -> Callable[[Place], object]:
    return _description(json.dumps(DESCRIPTION | other).encode())


def _no_description(place: Place) -> None:
    (place.bids / "dataset_description.json").unlink()


def _description_link(place: Place) -> None:
    _no_description(place)
    (place.bids / "dataset_description.json").symlink_to("nowhere")


def _renamed_to(name: str) -> Callable[[Place], object]:
    return lambda place: (place.bids / "sub-01").rename(place.bids / name)


def _out(**files: str) -> Callable[[Place], object]:
    """Files that are in the output folder before; `__` in a name is a dot."""

    def spoil(place: Place) -> None:
        place.out.mkdir()
        for name, words in files.items():
            (place.out / name.replace("__", ".")).write_text(words)

    return spoil


def _out_file(place: Place) -> None:
    place.out.write_text("a file")


def _other_dataset(place: Place) -> None:
    from pds_bids.bids.dataset import write_dataset_files

    write_dataset_files(place.out, place.bids, "1")
    _described(Name="Another")(place)


def _no_series(place: Place) -> None:
    place.person.series.unlink()


def _weights(content: bytes) -> Callable[[Place], object]:
    return lambda place: (place.bids.parent / "weights.safetensors").write_bytes(content)


def _foreign_weights(place: Place) -> None:
    save_file({"w": np.zeros(3, np.float32)}, place.bids.parent / "weights.safetensors")


class _Payload:
    """Unpickled, it would make a folder: nobody may unpickle it."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (Path("unpickled"),)


_MODEL = "BIDS OUT participant --model HERE/weights.safetensors"

DATASETS = [
    RunFault("no such input folder", _nothing, 16, "is not a folder", "HERE/absent OUT participant"),
    RunFault("no dataset_description.json", _no_description, 16, "is missing"),
    RunFault("dataset_description.json that is a link to nowhere", _description_link, 16, "points nowhere"),
    RunFault("dataset_description.json that is no JSON", _description(b"{"), 16, "repair the file"),
    RunFault("dataset_description.json that is not UTF-8", _description(b"\xff"), 16, "repair the file"),
    RunFault("dataset_description.json that is a list", _description(b"[]"), 16, "has no Name"),
    RunFault("no Name in it", _described(Name=""), 16, "has no Name"),
    RunFault("no BIDSVersion in it", _described(BIDSVersion=None), 16, "has no BIDSVersion"),
    RunFault("derivative dataset as input", _described(DatasetType="derivative"), 16, "derivative dataset"),
    RunFault("no participant folder", _renamed_to("01"), 16, "has no sub-* folder"),
    RunFault("participant with a malformed label", _renamed_to("sub-0_1"), 16, "has no sub-* folder"),
    RunFault("nobody has a source", _no_series, 66, "no selected participant has fMRI or dMRI"),
]

SELECTIONS = [
    RunFault(
        "unknown participant",
        _nothing,
        18,
        "no participant 99",
        "BIDS OUT participant --participant-label 99",
    ),
    RunFault("unknown session", _nothing, 18, "no session a", "BIDS OUT participant --session-label a"),
    RunFault("unknown task", _nothing, 18, "no task nback", "BIDS OUT participant --task-id nback"),
    RunFault(
        "label that climbs out of the folder",
        _nothing,
        2,
        "is not a label",
        "BIDS OUT participant --participant-label ../../etc",
    ),
    RunFault(
        "session that climbs out of the folder",
        _nothing,
        2,
        "is not a label",
        "BIDS OUT participant --session-label ../x",
    ),
    RunFault(
        "task that climbs out of the folder",
        _nothing,
        2,
        "is not a label",
        "BIDS OUT participant --task-id a/../../b",
    ),
    RunFault("unknown option", _nothing, 2, "No such option", "BIDS OUT participant --turbo"),
    RunFault("unknown level", _nothing, 2, "is not one of", "BIDS OUT session"),
    RunFault("unknown space", _nothing, 2, "is not one of", "BIDS OUT participant --output-spaces MNI305"),
]

OUTPUTS = [
    RunFault("output into the dataset", _nothing, 2, "would change BIDS_DIR", "BIDS BIDS/out participant"),
    RunFault("output is the dataset", _nothing, 2, "would change BIDS_DIR", "BIDS BIDS participant"),
    RunFault(
        "output out of derivatives by ..",
        _nothing,
        2,
        "would change BIDS_DIR",
        "BIDS BIDS/derivatives/../out participant",
    ),
    RunFault(
        "work folder in the dataset",
        _nothing,
        2,
        "would change BIDS_DIR",
        "BIDS OUT participant -w BIDS/work",
    ),
    RunFault("output is a file", _out_file, 2, "is a file"),
    RunFault("output below a file", _out_file, 73, "cannot be written", "BIDS OUT/below participant"),
    RunFault(
        "output where nothing can be written", _nothing, 73, "cannot be written", "BIDS /proc/pds participant"
    ),
    RunFault(
        "output of another program",
        _out(dataset_description__json='{"GeneratedBy": [{"Name": "other"}]}'),
        73,
        "not made by pds-bids",
    ),
    RunFault("output with a README of the user's", _out(README__md="mine"), 73, "was not made by pds-bids"),
    RunFault("output made from another dataset", _other_dataset, 73, "choose another output folder"),
    RunFault(
        "group level before the participant level",
        _nothing,
        66,
        "run the participant level first",
        "BIDS OUT group",
    ),
]

MODELS = [
    RunFault("no such model", _nothing, 2, "never downloaded", "BIDS OUT participant --model large"),
    RunFault("weights that are empty", _weights(b""), 2, "damaged checkpoint", _MODEL),
    RunFault("weights that are pickled", _weights(pickle.dumps(_Payload())), 2, "damaged checkpoint", _MODEL),
    RunFault(
        "weights whose header promises an exabyte",
        _weights((2**60).to_bytes(8, "little") + b"{}"),
        2,
        "damaged checkpoint",
        _MODEL,
    ),
    RunFault("weights of another program", _foreign_weights, 2, "not a pds-bids-1 checkpoint", _MODEL),
    RunFault(
        "graphics card that is not there", _nothing, 2, "cuda:99", "BIDS OUT participant --device cuda:99"
    ),
]

RUN_FAULTS = [*DATASETS, *SELECTIONS, *OUTPUTS, *MODELS]
