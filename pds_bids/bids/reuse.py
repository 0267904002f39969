"""Reference images that fMRIPrep, QSIPrep or a like pipeline has made, found beside their masks and T1w."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pds_bids.bids.discovery import Image, find_t1w, list_images
from pds_bids.bids.inventory import Visit
from pds_bids.bids.sources import Reused, Series
from pds_bids.core.modality import Modality

PREFERENCE: Mapping[Modality, tuple[tuple[str, str | None], ...]] = {
    Modality.BOLD: (("boldref", "coreg"), ("boldref", "mean"), ("boldref", None), ("boldref", "hmc")),
    Modality.DWI: (
        ("trace", None),
        ("dwi", "preproc"),
        ("dwiref", "mean"),
        ("dwiref", None),
        ("dwiref", "b0"),
        ("b0", None),
    ),
}
"""Suffix and `desc` of what may serve, best first. fMRIPrep (23.2 and later) corrects `coreg` for
susceptibility, not `hmc`. A corrected DWI series is reduced again: QSIPrep's own reference shows b = 0."""

UNWEIGHTED = frozenset({("dwiref", None), ("dwiref", "b0"), ("b0", None)})

OWN_SPACES = (None, "T1w", "ACPC")
"""Spaces in which the head has its own size and shape, nearest to the scan first; all others are standard."""

_MADE = frozenset({"space", "desc", "res", "den", "cohort"})
"""Entities that a pipeline adds; the others tell which series an image was made of."""


@dataclass(frozen=True)
class _Candidate:
    image: Image
    suffix: str
    tables: tuple[Path, ...] = ()

    @property
    def space(self) -> str | None:
        return self.image.entities.get("space")

    @property
    def kind(self) -> tuple[str, str | None]:
        return self.suffix, self.image.entities.get("desc")


def reuse(series: Series, visit: Visit, derivatives: Mapping[str, Path]) -> Series:
    """The series with what a derivative dataset has made of it in its place, or with a note that none has.

    Parameters
    ----------
    series
        Chosen from the raw dataset; its metadata and entities are kept.
    visit
        Whose it is.
    derivatives
        Name to folder; the first that has a reference serves.
    """
    for name, root in derivatives.items():
        candidates = list(_candidates(visit.folder(root) / series.modality.datatype, series))
        if candidates:
            best = min(candidates, key=lambda candidate: _rank(candidate, series))
            return _in_place(series, best, name, _prepared_t1w(root, visit))
    if not derivatives:
        return series
    note = f"no reference image in {', '.join(derivatives)}: the raw {series.modality.value} series was used"
    return replace(series, notes=(*series.notes, note))


def _prepared_t1w(root: Path, visit: Visit) -> Path | None:
    """Of a pipeline's T1w images the one that is whole, and not warped to a standard space."""

    def usable(image: Image) -> bool:
        return image.entities.get("desc") == "preproc" and image.entities.get("space") in OWN_SPACES

    return find_t1w(root, visit.subject, visit.session, usable=usable)


def _candidates(folder: Path, series: Series) -> Iterator[_Candidate]:
    for suffix in dict.fromkeys(suffix for suffix, _ in PREFERENCE[series.modality]):
        for image in list_images(folder, suffix).images:
            stem = image.path.name.partition(".")[0]
            tables = tuple(folder / f"{stem}.{kind}" for kind in ("bval", "bvec"))
            candidate = _Candidate(image, suffix, tables if suffix == series.modality.value else ())
            known = candidate.kind in PREFERENCE[series.modality] and image.present
            if known and _made_of(image, series) and all(path.is_file() for path in candidate.tables):
                yield candidate


def _made_of(image: Image, series: Series) -> bool:
    """Whether no entity tells of another series; pipelines drop some (echo; dir of what they merge)."""
    told = {key: label for key, label in image.entities.items() if key not in _MADE}
    return all(series.entities.get(key) == label for key, label in told.items())


def _rank(candidate: _Candidate, series: Series) -> tuple[int, ...]:
    """Own spaces before standard ones, then the better kind, then the nearer space and the fuller name."""
    standard = candidate.space not in OWN_SPACES
    space = len(OWN_SPACES) if standard else OWN_SPACES.index(candidate.space)
    kind = PREFERENCE[series.modality].index(candidate.kind)
    return int(standard), kind, space, -len(candidate.image.entities)


def _in_place(series: Series, best: _Candidate, dataset: str, t1w: Path | None) -> Series:
    modality, notes = series.modality, list(series.notes)
    if best.kind in UNWEIGHTED:
        notes.append(
            f"{best.image.path.name} shows b = 0 and not the mean of weighted volumes: contrast differs from"
            " training"
        )
    if best.space not in OWN_SPACES:
        notes.append(f"{dataset} has the reference in {best.space} alone: it was registered again")
    bval, bvec = best.tables or (None, None)
    return replace(
        series,
        path=best.image.path,
        bval=bval,
        bvec=bvec,
        notes=tuple(note for note in notes if not (t1w and note == "no T1w")),
        reused=Reused(dataset, best.suffix != modality.value, None if best.tables else _mask(best), t1w),
    )


def _mask(candidate: _Candidate) -> Path | None:
    """The brain mask that lies on the reference's grid, by its name."""
    wanted = candidate.image.entities | {"desc": "brain"}
    masks = list_images(candidate.image.path.parent, "mask").images
    return next((mask.path for mask in masks if mask.present and mask.entities == wanted), None)
