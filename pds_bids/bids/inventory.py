"""Who has which modality and misses which: the plan of a run. Reads directory listings, never a voxel."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pds_bids.bids.discovery import find_t1w, labelled_folders, list_images, visit_folder
from pds_bids.bids.filters import require_known
from pds_bids.bids.filters import sessions as sessions_of_filters
from pds_bids.bids.naming import natural_key
from pds_bids.core.config import Selection
from pds_bids.core.errors import NotBidsError, NothingSelectedError
from pds_bids.core.modality import Modality

Idle = Literal["nothing-missing", "not-fetched", "not-asked-for"]
"""Why there is nothing to synthesise although there is something to start from."""

IDLE_REASONS: Mapping[Idle, str] = {
    "nothing-missing": "both were acquired (--evaluate synthesises and scores them)",
    "not-fetched": "what is missing exists and cannot be read",
    "not-asked-for": "--target does not ask for what is missing",
}


@dataclass(frozen=True)
class Visit:
    """One subject in one session: the unit of work.

    Attributes
    ----------
    subject
        Label without `sub-`.
    session
        Label without `ses-`; None in a dataset without sessions.
    acquired
        Modalities with a series that is there, of whatever task.
    has_t1w
        Whether there is a T1w image in this session or in another one of the subject.
    tasks
        BOLD tasks found, selected or not.
    unreadable
        Links that point nowhere and folders that may not be listed: none of them counts as acquired.
    odd
        Image files whose name is not one of BIDS, or names another subject or session than their folder
        does: none of them is used.
    """

    subject: str
    session: str | None
    acquired: frozenset[Modality]
    has_t1w: bool
    tasks: tuple[str, ...] = ()
    unreadable: tuple[Path, ...] = ()
    odd: tuple[Path, ...] = ()

    @property
    def missing(self) -> frozenset[Modality]:
        """Modalities without a series that is there."""
        return frozenset(Modality) - self.acquired

    @property
    def unfetched(self) -> frozenset[Modality]:
        """Modalities of which nothing can be read although something exists: to be fetched, not synthesised.

        >>> link = Path("sub-01/func/sub-01_task-rest_bold.nii.gz")
        >>> sorted(Visit("01", None, frozenset({Modality.DWI}), has_t1w=True, unreadable=(link,)).unfetched)
        [<Modality.BOLD: 'bold'>]
        """
        places = {name for path in self.unreadable for name in (path.name, path.parent.name)}
        return frozenset(modality for modality in self.missing if modality.datatype in places)

    @property
    def label(self) -> str:
        """How people and paths name the visit.

        >>> Visit("01", "02", frozenset(), has_t1w=False).label
        'sub-01/ses-02'
        """
        return visit_folder(Path(), self.subject, self.session).as_posix()

    def folder(self, root: Path) -> Path:
        """The visit's folder in a raw or derived dataset."""
        return visit_folder(root, self.subject, self.session)

    def targets(self, wanted: Iterable[Modality], evaluate: bool) -> tuple[Modality, ...]:
        """What is to be synthesised: what is missing and not merely unfetched, from the acquired other one.

        Parameters
        ----------
        wanted
            Modalities the user asks for.
        evaluate
            Also synthesise acquired modalities, to be scored against the real ones.

        Examples
        --------
        >>> Visit("01", None, frozenset({Modality.DWI}), has_t1w=True).targets(Modality, evaluate=False)
        (<Modality.BOLD: 'bold'>,)
        """
        candidates = (frozenset(Modality) if evaluate else self.missing) - self.unfetched
        return tuple(target for target in wanted if target in candidates and target.other in self.acquired)

    @property
    def idle(self) -> Idle:
        """Why a visit with something to start from has no `targets`.

        >>> Visit("01", None, frozenset({Modality.DWI}), has_t1w=True).idle  # but only DWI was asked for
        'not-asked-for'
        """
        if not self.missing:
            return "nothing-missing"
        return "not-fetched" if self.missing <= self.unfetched else "not-asked-for"


def inventory(bids_dir: Path, selection: Selection) -> list[Visit]:
    """List the selected visits of a dataset, in natural order.

    Parameters
    ----------
    bids_dir
        A raw BIDS dataset; one subject alone in a sparse checkout is enough.
    selection
        Which participants, sessions and task take part.

    Raises
    ------
    UsageError
        If the filters ask for what would not be heeded.
    NotBidsError
        If the folder is not a BIDS dataset.
    NothingSelectedError
        If a selected participant, session or task does not exist, or nothing is left.
    """
    require_known(selection.filters)
    require_dataset(bids_dir)
    try:
        subjects = labelled_folders(bids_dir, "sub")
    except OSError as error:
        raise NotBidsError(f"{bids_dir}: cannot be listed ({error.strerror}); grant access to it") from error
    if not subjects:
        raise NotBidsError(f"{bids_dir}: has no sub-* folder; give the folder that holds the subjects")
    _require_known("participant", selection.participants, subjects, bids_dir)
    chosen = [label for label in subjects if label in selection.participants or not selection.participants]
    sessions = {label: _sessions(subjects[label]) for label in chosen}
    known = {session for found in sessions.values() for session in found if session is not None}
    wanted = selection.sessions or sessions_of_filters(selection.filters)
    _require_known("session", wanted, known, bids_dir)
    visits = [
        _visit(bids_dir, subject, session)
        for subject in chosen
        for session in sessions[subject]
        if session in wanted or not wanted
    ]
    tasks = {task for visit in visits for task in visit.tasks}
    if selection.task and tasks:  # where there is no BOLD at all, no task contradicts the user's
        _require_known("task", (selection.task,), tasks, bids_dir)
    return visits


def require_dataset(bids_dir: Path) -> dict[str, object]:
    """The content of the `dataset_description.json` of a raw dataset, or `NotBidsError`."""
    if not bids_dir.is_dir():
        raise NotBidsError(f"{bids_dir}: is not a folder; give the folder of a BIDS dataset")
    path = bids_dir / "dataset_description.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fault = "is missing; give a BIDS dataset, or add the file"
        if path.is_symlink():
            fault = "is a link that points nowhere; run `datalad get`, or restore it"
        raise NotBidsError(f"{path}: {fault}") from None
    except (OSError, ValueError) as error:
        raise NotBidsError(f"{path}: cannot be read ({error}); repair the file") from error
    for key in ("Name", "BIDSVersion"):
        if not isinstance(description, dict) or not description.get(key):
            raise NotBidsError(f"{path}: has no {key}; add it")
    if description.get("DatasetType") == "derivative":
        raise NotBidsError(f"{path}: this is a derivative dataset; give the raw dataset it was made from")
    return dict(description)


def _require_known(kind: str, wanted: Collection[str], known: Collection[str], bids_dir: Path) -> None:
    unknown = [label for label in wanted if label not in known]
    if unknown and not known:
        raise NothingSelectedError(
            f"{bids_dir}: no {kind} {', '.join(unknown)}, for it has no {kind}s; leave --{kind}-label out"
        )
    if unknown:
        there = ", ".join(sorted(known, key=natural_key)[:10])
        more = ", ..." if len(known) > 10 else ""
        raise NothingSelectedError(
            f"{bids_dir}: no {kind} {', '.join(unknown)}; choose from those it has: {there}{more}"
        )


def _sessions(subject_folder: Path) -> list[str | None]:
    """Session labels; None stands for series that lie directly in the subject's folder."""
    try:
        found: list[str | None] = list(labelled_folders(subject_folder, "ses"))
        direct = any((subject_folder / modality.datatype).is_dir() for modality in Modality)
    except OSError:  # `_visit` meets and records it
        return [None]
    return [None, *found] if direct or not found else found


def _visit(bids_dir: Path, subject: str, session: str | None) -> Visit:
    folder = visit_folder(bids_dir, subject, session)
    acquired: set[Modality] = set()
    tasks: set[str] = set()
    unreadable: list[Path] = []
    odd: list[Path] = []
    has_t1w = False
    try:
        for modality in Modality:
            listing = list_images(folder / modality.datatype, modality.value)
            odd += listing.odd
            tasks.update(image.entities["task"] for image in listing.images if "task" in image.entities)
            unreadable += [image.path for image in listing.images if not image.present]
            if any(image.present for image in listing.images):
                acquired.add(modality)
        anatomical = list_images(folder / "anat", "T1w").images
        unreadable += [image.path for image in anatomical if not image.present]
        has_t1w = any(image.present for image in anatomical) or bool(find_t1w(bids_dir, subject, session))
    except OSError as error:  # one folder that may not be listed is this visit's trouble alone
        unreadable.append(Path(error.filename or folder))
    found = tuple(sorted(tasks, key=natural_key))
    return Visit(subject, session, frozenset(acquired), has_t1w, found, tuple(unreadable), tuple(odd))
