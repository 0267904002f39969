"""Labelled subjects, simulated or real, and the ROI means of what is acquired and synthesised of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.cohort import DerivativePairs
from pds_bids.app.experiments.kept import Arrays, kept
from pds_bids.app.experiments.people import People
from pds_bids.app.methods import KINDS, Array, Case, Outputs
from pds_bids.app.testbed import seen_by
from pds_bids.bids.pairs import find_pairs, participants_table
from pds_bids.bids.tables import MISSING, read_table
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID

if TYPE_CHECKING:
    from pds_bids.core.rois import RoiAtlas
    from pds_bids.models.checkpoint import Checkpoint
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Pairs

VIEWS = ("source", "target", "synthetic", "template")
"""What is acquired, what is to be synthesised, what is synthesised, and the population's mean."""


@dataclass(frozen=True)
class Labelled:
    """Rows that have labels.

    Attributes
    ----------
    pairs
        One row each.
    name
        Tells these rows from others; of simulated people, however many they are.
    classes
        Names of the labels.
    labels
        (n,) position in `classes`.
    subject
        (n,) number of whom each row is.
    anatomy
        (n,) rows with the same number are alike for another reason than their label: made from one label
        map, or scans of one person.
    """

    pairs: Pairs
    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    subject: NDArray[np.int64]
    anatomy: NDArray[np.int64]


def simulated_subjects(people: People) -> Labelled:
    """Simulated people and their diagnoses."""
    from pds_bids.training.data import GROUPS

    people.simulate()
    return Labelled(people, people.name, GROUPS, people.group, people.person, people.anatomy)


def real_subjects(derivatives: Path, label_column: str, checkpoint: Checkpoint) -> Labelled:
    """Visits with both modalities whose subjects have a label, less those that the model was trained on.

    Parameters
    ----------
    derivatives
        Output of `pds-bids ... --evaluate --output-spaces model`.
    label_column
        Of participants.tsv, in `derivatives` or in the dataset it was made from.
    checkpoint
        Its card may list subjects that it was trained or calibrated on.

    Raises
    ------
    UsageError
        If there is no such column, or nobody is left who has both.
    """
    seen = {name.removeprefix("sub-") for name in seen_by(checkpoint)}
    table = participants_table(derivatives)
    label_of = {
        row["participant_id"].removeprefix("sub-"): row[label_column]
        for row in (read_table(table) if table else [])
        if row.get(label_column, MISSING) != MISSING
    }
    labelled = [visit for visit in find_pairs(derivatives) if visit.subject in label_of]
    visits = tuple(visit for visit in labelled if visit.subject not in seen)
    if left_out := len(labelled) - len(visits):
        print(f"left out {left_out} of {len(labelled)} visits: the model was trained or calibrated on them")
    if not visits:
        raise UsageError(
            f"--from-derivatives {derivatives}: nobody whom the model has not seen has both modalities in "
            f"model space and a {label_column} in participants.tsv; see --label-column"
        )
    classes = tuple(sorted({label_of[visit.subject] for visit in visits}))
    names = sorted({visit.subject for visit in visits})
    subject = np.array([names.index(visit.subject) for visit in visits])
    labels = np.array([classes.index(label_of[visit.subject]) for visit in visits])
    pairs = DerivativePairs(visits, {})
    return Labelled(pairs, pairs.name, classes, labels, subject, subject)


Measure = Callable[[Case], Mapping[str, Array]]
"""What is kept of one subject in one direction: arrays by name."""


def roi_views(model: PdsModel, atlas: RoiAtlas) -> Measure:
    """(R,) ROI means in relative units, NaN outside the source's mask, of `VIEWS`.

    The networks are shown no T1w: what it knows would be taken for what the source says.
    """
    from pds_bids.training.pattern import roi_means

    labels = atlas.labels(MODEL_GRID)
    templates = model.templates.cpu().numpy()

    def measure(case: Case) -> dict[str, Array]:
        synthetic = KINDS["no-t1w"](Outputs(model, case)).volume
        volumes = (case.source_volume, case.truth, synthetic, templates[case.target])
        means = (roi_means(v.astype(float), case.mask, labels, len(atlas)) for v in volumes)
        return dict(zip(VIEWS, means, strict=True))

    return measure


def measured(pairs: Pairs, measure: Measure, place: Path) -> dict[Modality, dict[str, NDArray[np.floating]]]:
    """A measure of every pair in both directions, made once and kept.

    Parameters
    ----------
    place
        Where results are kept; its name has to say which pairs they are of, and what else they follow from.

    Returns
    -------
    dict
        By target and name, (n, ...) each.
    """
    found: dict[Modality, list[Arrays]] = {target: [] for target in Modality}
    for row in range(len(pairs)):
        for target in Modality:
            make = partial(_measured, measure, pairs, row, target)
            found[target].append(kept(place / f"{row:04d}-{target}.npz", make))
        print(f"{place.name}: {row + 1} of {len(pairs)}", flush=True)
    return {
        target: {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        for target, rows in found.items()
    }


def _measured(measure: Measure, pairs: Pairs, row: int, target: Modality) -> Mapping[str, Array]:
    return measure(Case.of(pairs, row, list(Modality).index(target)))
