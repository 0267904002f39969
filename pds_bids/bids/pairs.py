"""Visits of a derivative dataset of ours that hold training pairs: each modality as source and as target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pds_bids.bids.derivatives import RAW_DATASET, REFERENCE_DESC, context_desc
from pds_bids.bids.discovery import labelled_folders, list_images, visit_folder
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_SPACE


class Direction(NamedTuple):
    """Images in the model space of one source.

    Attributes
    ----------
    source
        The acquired mean.
    target
        That of the other modality, aligned to it.
    brain
        Brain mask of the source.
    reach
        The part of it that the target reaches.
    t1w
        The T1w image where one showed the source the way.
    """

    source: Path
    target: Path
    brain: Path
    reach: Path
    t1w: Path | None


@dataclass(frozen=True)
class PairFiles:
    """One visit with both modalities, and what there is by the modality that is the source."""

    subject: str
    session: str | None
    directions: Mapping[Modality, Direction]


def find_pairs(derivatives: Path) -> list[PairFiles]:
    """Visits with both directions, in natural order; `--evaluate --output-spaces model` makes them."""
    found: list[PairFiles] = []
    for subject, folder in labelled_folders(derivatives, "sub").items():
        for session in (None, *labelled_folders(folder, "ses")):
            visit = visit_folder(derivatives, subject, session)
            directions = {m: there for m in Modality if (there := _direction(visit, m))}
            if len(directions) == len(Modality):
                found.append(PairFiles(subject, session, directions))
    return found


def _direction(visit: Path, source: Modality) -> Direction | None:
    target = source.other
    image = _find(visit / source.datatype, source.mean_suffix, "preproc")
    reference = _find(visit / target.datatype, target.mean_suffix, REFERENCE_DESC)
    brain = _find(visit / source.datatype, "mask", "brain")
    reach = _find(visit / target.datatype, "mask", REFERENCE_DESC)
    if not (image and reference and brain and reach):
        return None
    return Direction(image, reference, brain, reach, _find(visit / "anat", "T1w", context_desc(source)))


def _find(folder: Path, suffix: str, desc: str) -> Path | None:
    wanted = {"space": MODEL_SPACE, "desc": desc}
    for image in list_images(folder, suffix).images:
        if image.present and wanted.items() <= image.entities.items():
            return image.path
    return None


def participants_table(derivatives: Path) -> Path | None:
    """`participants.tsv` of a derivative dataset, or else of the raw one that it was made from."""
    for folder in (derivatives, _raw_dataset(derivatives)):
        if folder and (path := folder / "participants.tsv").is_file():
            return path
    return None


def _raw_dataset(derivatives: Path) -> Path | None:
    """Where `DatasetLinks` says that the raw dataset lies."""
    try:
        description = json.loads((derivatives / "dataset_description.json").read_text(encoding="utf-8"))
        link = urlsplit(description["DatasetLinks"][RAW_DATASET])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (derivatives / unquote(link.path)).resolve() if link.scheme in ("", "file") else None
