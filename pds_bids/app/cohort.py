"""`--from-derivatives`: training pairs of real people, from a dataset that this program preprocessed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.provenance import fingerprint
from pds_bids.app.splits import drawn_split, read_split, write_split
from pds_bids.bids.pairs import PairFiles, find_pairs, participants_table
from pds_bids.bids.tables import MISSING, read_table
from pds_bids.core.errors import ParticipantError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume, load_volume
from pds_bids.prep.intensity import IntensityScale
from pds_bids.training.data import GROUPS, UNKNOWN_PERSON, Covariate, Sample

GROUP_COLUMNS = ("group", "diagnosis", "dx")
GROUP_WORDS = {
    "nc": ("nc", "cn", "hc", "control", "controls", "healthy"),
    "mci": ("mci", "emci", "lmci"),
    "ad": ("ad", "dementia", "alzheimer", "alzheimers", "alzheimer's"),
}
SEXES = {"f": 0.0, "female": 0.0, "m": 1.0, "male": 1.0}

BRIGHTEST = 10.0
"""Times the brain's median: what float16 holds with ease, and far above what the networks see."""


@dataclass(frozen=True)
class DerivativePairs:
    """Pairs read from disk while they are looked at. Stands where a `PairBank` does.

    Nobody knows the tissues of real people: their fractions are all zero, which no loss counts.

    Attributes
    ----------
    visits
        One row each.
    people
        Subject to covariates, (4,) by `Covariate`.
    """

    visits: tuple[PairFiles, ...]
    people: Mapping[str, NDArray[np.float32]]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose the rows are, without `sub-`."""
        return tuple(visit.subject for visit in self.visits)

    @property
    def name(self) -> str:
        """Of the images as they are now: what was computed from others is not of these."""
        files = [path for visit in self.visits for d in visit.directions.values() for path in d if path]
        stamps = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
        return f"cohort-{fingerprint(stamps)}"

    def of(self, subjects: Collection[str]) -> DerivativePairs:
        """The rows of some subjects."""
        return replace(self, visits=tuple(visit for visit in self.visits if visit.subject in subjects))

    def __len__(self) -> int:
        return len(self.visits)

    def get(self, rows: list[int]) -> Sample:
        """Read rows, several at a time: unpacking them is most of the work, and threads share it.

        Raises
        ------
        ParticipantError
            If an image is unreadable, empty, or not on the model grid.
        """
        with ThreadPoolExecutor(max_workers=4) as pool:
            samples = list(pool.map(self._sample, (self.visits[row] for row in rows)))
        return Sample(*(np.stack(arrays) for arrays in zip(*samples, strict=True)))

    def _sample(self, visit: PairFiles) -> Sample:
        images = np.empty((2, len(Modality), *MODEL_GRID.shape), np.float16)
        masks = np.empty(images.shape[1:], np.bool_)
        for k, direction in enumerate(visit.directions[modality] for modality in Modality):
            brain, reach = _read(direction.brain), _read(direction.reach)
            masks[k] = brain.data > 0
            images[0, k] = _compact(direction.source, brain)
            images[1, 1 - k] = np.where(reach.data > 0, _compact(direction.target, reach), np.nan)
        tissue = np.zeros((4, *(n // 2 for n in MODEL_GRID.shape)), np.uint8)
        return Sample(images, masks, tissue, _t1w(visit), self.people.get(visit.subject, UNKNOWN_PERSON))


@dataclass(frozen=True)
class CohortData:
    """Pairs of real people by part of the split. Stands where `SimulatedData` does.

    `drawn` is who is where, if nobody had said it.
    """

    parts: Mapping[str, DerivativePairs]
    drawn: Mapping[str, list[str]] | None = None

    def write_drawn_split(self, out: Path) -> None:
        """Beside the checkpoint to come, as `--split` would read it; nothing where a split was given."""
        if self.drawn is not None:
            write_split(out.with_suffix(".split.tsv"), self.drawn)

    def training(self) -> DerivativePairs:
        """Those that train."""
        return self.parts["train"]

    def calibration(self) -> DerivativePairs:
        """Those that calibrate."""
        return self.parts["calibration"]

    def discard(self) -> None:
        """Nothing was made that could be deleted."""

    def about(self) -> dict[str, Any]:
        """What the card says of them: how many, and a hash by which another cohort is told, but no names."""
        names = [[part, visit.subject, visit.session] for part, p in self.parts.items() for visit in p.visits]
        subjects = {part: len(set(pairs.subjects)) for part, pairs in self.parts.items()}
        return {
            "subjects": subjects,
            "cohort": fingerprint(names),
            "training_data": f"of {subjects['train']} people, from a preprocessed cohort",
        }


def _read(path: Path) -> Volume:
    volume = load_volume(path, MODEL_SPACE)
    if not volume.grid.matches(MODEL_GRID):
        raise ParticipantError(path, "does not lie on the model grid", "process this participant again")
    return volume


def _compact(path: Path, mask: Volume) -> NDArray[np.float16]:
    """(X, Y, Z) in units of the median inside the mask."""
    volume = _read(path)
    try:
        relative = volume.data / IntensityScale.fit(volume, mask).median
    except ValueError as error:
        raise ParticipantError(path, str(error), "process this participant again") from error
    return relative.clip(0, BRIGHTEST).astype(np.float16)


def _t1w(visit: PairFiles) -> NDArray[np.float16]:
    """(X, Y, Z) one T1w image for both directions; zeros unless it showed both sources the way.

    Then the two model spaces rest on the same image and all but coincide; each lacks what the mask of its own
    source leaves out.
    """
    context = np.zeros(MODEL_GRID.shape, np.float16)
    found = [(d.t1w, _read(d.brain)) for d in visit.directions.values() if d.t1w]
    if len(found) == len(Modality):
        for path, mask in found:
            context = np.where(context > 0, context, _compact(path, mask))
    return context


def load_cohort(derivatives: Path, split_file: Path | None, seed: int) -> CohortData:
    """Pairs of each part of a split by subject; every image is read once, so that a broken one is met now.

    Parameters
    ----------
    derivatives
        Written by `pds-bids ... --evaluate --output-spaces model`.
    split_file
        Columns `participant_id` and `split`. None draws a split.

    Raises
    ------
    UsageError
        If there are no pairs, or the split does not fit them.
    ParticipantError
        If an image cannot be used.
    """
    visits = tuple(find_pairs(derivatives))
    if not visits:
        raise UsageError(
            f"--from-derivatives {derivatives}: no visit has both modalities in model space; make them with "
            "`pds-bids BIDS_DIR OUTPUT_DIR participant --evaluate --output-spaces model`"
        )
    subjects = sorted({visit.subject for visit in visits})
    described = participants_table(derivatives)
    who = people(read_table(described), subjects) if described else {}
    if split_file:
        parts = read_split(split_file, subjects)
    else:
        parts = drawn_split(
            {subject: _stratum(who.get(subject, UNKNOWN_PERSON)) for subject in subjects}, seed
        )
    pairs = DerivativePairs(visits, who)
    for row in range(len(pairs)):
        pairs.get([row])
    drawn = None if split_file else parts
    return CohortData({part: pairs.of(members) for part, members in parts.items()}, drawn)


def _stratum(who: NDArray[np.float32]) -> tuple[float, ...]:
    """Site and group, -1 where unknown."""
    return tuple(np.nan_to_num(who[[Covariate.SITE, Covariate.GROUP]], nan=-1).tolist())


def people(rows: list[dict[str, str]], subjects: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Covariates of subjects from the rows of a `participants.tsv`; what is not there is unknown."""
    lower = [{name.lower(): value for name, value in row.items()} for row in rows]
    sites = sorted({row.get("site", MISSING) for row in lower} - {MISSING})
    found = {}
    for row in lower:
        subject = row.get("participant_id", "").removeprefix("sub-")
        if subject in subjects:
            who = found[subject] = UNKNOWN_PERSON.copy()
            who[Covariate.GROUP] = _group(row)
            who[Covariate.AGE] = _number(row.get("age", MISSING))
            who[Covariate.SEX] = SEXES.get(row.get("sex", MISSING).lower(), np.nan)
            who[Covariate.SITE] = sites.index(row["site"]) if row.get("site") in sites else np.nan
    return found


def _group(row: Mapping[str, str]) -> float:
    word = next((row[name] for name in GROUP_COLUMNS if name in row), MISSING).lower()
    return next((float(GROUPS.index(g)) for g, words in GROUP_WORDS.items() if word in words), np.nan)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # n/a, or 89+
        return np.nan
