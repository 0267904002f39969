"""Which series of a visit is the source of the synthesis, and why this one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pds_bids.bids.discovery import Image, find_t1w, list_images
from pds_bids.bids.filters import accepts
from pds_bids.bids.inventory import Visit
from pds_bids.bids.layout import inherited, metadata, points_nowhere, subject_layout
from pds_bids.bids.naming import natural_key
from pds_bids.core.config import Filters
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import quiet_headers

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

PREFERRED_TASK = "rest"

_GRADIENT_TABLES: dict[Modality, tuple[str, ...]] = {Modality.BOLD: (), Modality.DWI: ("bval", "bvec")}
"""Files without which a series of the modality cannot be used."""


@dataclass(frozen=True)
class Reused:
    """What another pipeline has made of a series.

    Attributes
    ----------
    dataset
        Name of its dataset.
    is_reference
        A 3D reference image stands in the place of the series, not a corrected series.
    mask
        Brain mask of the reference, where there is one.
    t1w
        T1w image of the same dataset, where there is one.
    """

    dataset: str
    is_reference: bool
    mask: Path | None
    t1w: Path | None


@dataclass(frozen=True)
class Series:
    """The acquired 4D series chosen as a source.

    Attributes
    ----------
    modality
        What it is a series of.
    path
        The NIfTI file.
    n_volumes
        Length of its fourth axis.
    metadata
        The sidecar with everything it inherits.
    entities
        Keys and labels of the file name, e.g. `{"sub": "01", "task": "rest", "run": "2"}`.
    bval, bvec
        The gradient tables, found by inheritance; None for a modality that has none.
    notes
        What a reader of the report should know about the choice.
    reused
        Says where `path` comes from if it is not the series itself but was made of it.
    """

    modality: Modality
    path: Path
    n_volumes: int
    metadata: dict[str, Any]
    entities: dict[str, str]
    bval: Path | None = None
    bvec: Path | None = None
    notes: tuple[str, ...] = ()
    reused: Reused | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, its gradient tables and its mask."""
        mask = self.reused.mask if self.reused else None
        return tuple(path for path in (self.path, self.bval, self.bvec, mask) if path is not None)


def select_series(
    bids_dir: Path,
    visit: Visit,
    modality: Modality,
    task: str | None = None,
    *,
    filters: Filters | None = None,
    database_dir: Path | None = None,
) -> Series:
    """Choose the series to start from: the selected task, the first echo, the most volumes, then the first.

    Parameters
    ----------
    bids_dir
        The raw dataset.
    visit
        One of its visits.
    modality
        Which kind of series.
    task
        BOLD task; by default rest if present, else the only one.
    filters
        From a BIDS filter file.
    database_dir
        See `subject_layout`.

    Raises
    ------
    ParticipantError
        If there is no such series, the task is not clear, or no candidate can be used.
    """
    folder = visit.folder(bids_dir) / modality.datatype
    found = list_images(folder, modality.value).images
    if not found:
        remedy = "add the series, or leave this participant out"
        raise ParticipantError(folder, f"holds no series named *_{modality.value}.nii[.gz]", remedy)
    passing = [image for image in found if accepts(filters or {}, modality.value, image.entities)]
    if not passing:
        raise ParticipantError(folder, "no series passes the BIDS filter file", "change the filters")
    candidates = _of_one_task(folder, passing, task)
    usable: list[Series] = []
    faults: list[ParticipantError] = []
    with subject_layout(bids_dir, visit.subject, modality, database_dir) as layout:
        for image in candidates:
            try:
                usable.append(_open(layout, image, modality))
            except ParticipantError as fault:
                faults.append(fault)
    if not usable:
        raise faults[0]
    first_echoes = _first_echoes(usable)
    best = max(first_echoes, key=lambda series: series.n_volumes)  # the first of equals
    notes = [
        *_describe_echoes(usable, best),
        *_describe_choice(first_echoes, best),
        *(f"left out: {fault}" for fault in faults),
        *(["no T1w"] if not visit.has_t1w else []),
    ]
    return replace(best, notes=tuple(notes))


def select_t1w(bids_dir: Path, visit: Visit, filters: Filters | None = None) -> Path | None:
    """The visit's first T1w image that passes the filters or, failing that, the first one of another session;
    None without any.
    """
    return find_t1w(
        bids_dir,
        visit.subject,
        visit.session,
        usable=lambda image: accepts(filters or {}, "t1w", image.entities),
    )


def _of_one_task(folder: Path, found: Sequence[Image], task: str | None) -> list[Image]:
    tasks = sorted({image.entities["task"] for image in found if "task" in image.entities})
    if not tasks:
        return list(found)
    if task is None:
        task = PREFERRED_TASK if PREFERRED_TASK in tasks else tasks[0] if len(tasks) == 1 else None
    if task is None:
        fault = f"has several tasks and none is {PREFERRED_TASK}: {', '.join(tasks)}"
        raise ParticipantError(folder, fault, "choose one with --task-id")
    if task not in tasks:
        raise ParticipantError(folder, f"has no task {task}", f"choose --task-id from {', '.join(tasks)}")
    return [image for image in found if image.entities.get("task") == task]


def _open(layout: BIDSLayout, image: Image, modality: Modality) -> Series:
    """The series of one image, with header, metadata and gradient tables looked up."""
    n_volumes = _count_volumes(image)
    name = image.path.name
    tables: dict[str, Path] = {}
    for kind in _GRADIENT_TABLES[modality]:
        table = inherited(layout, image, modality.value, f".{kind}")
        if table is None:
            expected = image.path.with_name(f"{name.partition('.')[0]}.{kind}")
            raise ParticipantError(expected, f"is missing, and {name} inherits none", "add the file")
        if not table.exists():
            raise points_nowhere(table)
        tables[kind] = table
    return Series(
        modality,
        image.path,
        n_volumes,
        metadata(layout, image),
        image.entities,
        bval=tables.get("bval"),
        bvec=tables.get("bvec"),
    )


def _count_volumes(image: Image) -> int:
    """Length of the fourth axis, from the header alone."""
    import nibabel as nb

    if not image.present:
        raise points_nowhere(image.path)
    try:
        with quiet_headers():
            shape = cast("nb.spatialimages.SpatialImage", nb.load(image.path)).shape
    except (OSError, EOFError, ValueError, zlib.error, nb.filebasedimages.ImageFileError) as error:
        raise ParticipantError(image.path, f"cannot be read ({error})", "restore the file") from error
    except nb.spatialimages.HeaderDataError as error:
        raise ParticipantError(image.path, f"has a damaged header ({error})", "restore the file") from error
    if len(shape) != 4 or min(shape) < 1 or shape[3] < 2:
        raise ParticipantError(image.path, f"has shape {shape}, a 4D series is needed", "add the series")
    return int(shape[3])


def _first_echoes(usable: Sequence[Series]) -> list[Series]:
    """Of each multi-echo series, only the first readable echo stays."""
    first: dict[frozenset[tuple[str, str]], Series] = {}
    for series in sorted(usable, key=lambda series: natural_key(series.entities.get("echo", ""))):
        first.setdefault(frozenset(series.entities.items() - {("echo", series.entities.get("echo"))}), series)
    return [series for series in usable if series in first.values()]


def _describe_echoes(usable: Sequence[Series], best: Series) -> list[str]:
    n_echoes = len({series.entities.get("echo") for series in usable})
    used = best.entities.get("echo")
    return [f"multi-echo: used echo-{used}"] if n_echoes > 1 and used else []


def _describe_choice(series: Sequence[Series], best: Series) -> list[str]:
    if len(series) == 1:
        return []
    keys = dict.fromkeys(key for each in series for key in each.entities)
    varying = [key for key in keys if len({each.entities.get(key) for each in series}) > 1]
    used = "_".join(f"{key}-{best.entities[key]}" for key in varying if key in best.entities)
    kind = "runs" if varying == ["run"] else f"series that differ in {', '.join(varying) or 'extension'}"
    ties = sum(each.n_volumes == best.n_volumes for each in series) > 1
    reason = f"the first with {best.n_volumes} volumes" if ties else f"most volumes: {best.n_volumes}"
    return [f"{len(series)} {kind}: used {used or best.path.name} ({reason})"]
