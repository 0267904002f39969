"""`pds-model experiment diagnosis`: what a synthesised modality is worth where a diagnosis is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pds_bids.app.experiments.features import (
    Labelled,
    measured,
    real_subjects,
    roi_views,
    simulated_subjects,
)
from pds_bids.app.experiments.people import People
from pds_bids.app.experiments.setting import Result, Setting, write_result
from pds_bids.app.modelcard import interval_text
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality

if TYPE_CHECKING:
    from pds_bids.evaluation.comparison import Interval
    from pds_bids.evaluation.diagnosis import Arm

Array = NDArray[np.floating]

REAL, IMPUTED = "real -> real", "real + synthetic"
SOURCE_ONLY, SUBSTITUTED = "source only", "template substituted"

RIVALS = (SOURCE_ONLY, SUBSTITUTED)
"""What a subject without the modality can be told by without synthesis."""


@dataclass(frozen=True)
class Plan:
    """Whose diagnoses are told.

    Attributes
    ----------
    derivatives
        Output of `pds-bids ... --evaluate --output-spaces model`; None simulates people.
    label_column
        Of its participants.tsv.
    sites
        Where simulated people are scanned.
    """

    derivatives: Path | None = None
    label_column: str = "diagnosis"
    sites: tuple[str, ...] = ("oasis", "adni", "ppmi", "hospital")


def arms() -> dict[str, Arm]:
    """Six ways to train and test: what is learnt from, and what is seen of those who are told."""
    from pds_bids.evaluation.diagnosis import Arm

    return {
        REAL: Arm("both", "both"),
        IMPUTED: Arm("both", "imputed"),
        "synthetic -> real": Arm("synthetic", "target"),
        "real -> synthetic": Arm("target", "synthetic"),
        SOURCE_ONLY: Arm("source", "source"),
        SUBSTITUTED: Arm("both", "substituted"),
    }


def run(plan: Plan, setting: Setting) -> int:
    """Write what each of the `arms` comes to, in both directions.

    Raises
    ------
    UsageError
        If there is nobody to test on, or too few of a class.
    """
    from pds_bids.prep.rois import roi_atlas

    checkpoint = setting.checkpoint()
    if plan.derivatives is not None:
        subjects = real_subjects(plan.derivatives, plan.label_column, checkpoint)
    else:
        subjects = simulated_subjects(People.held_out(setting, checkpoint, plan.sites))
    place = setting.folder / f"rois-{checkpoint.sha256[:12]}-of-{subjects.name}"
    views = measured(subjects.pairs, roi_views(checkpoint.model, roi_atlas()), place)
    told = [Told.by_arms(views[target], target, subjects, setting.seed) for target in Modality]
    result = Result(
        "diagnosis",
        f"Can {', '.join(subjects.classes)} be told apart from acquired and from synthesised volumes?",
        [sentence for each in told for sentence in each.findings()],
        {"Ways to train and test": [row for each in told for row in each.rows]},
        [each.chart() for each in told],
    )
    write_result(result, plan, setting, checkpoint)
    return 0


@dataclass(frozen=True)
class Told:
    """What was told of every subject in one direction.

    Attributes
    ----------
    target
        The modality that is missing.
    probability
        (n, K) by arm.
    """

    target: Modality
    subjects: Labelled
    seed: int
    probability: dict[str, Array]

    @classmethod
    def by_arms(cls, views: dict[str, Array], target: Modality, subjects: Labelled, seed: int) -> Told:
        """From ROI means, (n, R) each, of the views of `roi_views`.

        Raises
        ------
        UsageError
            If a class has too few subjects.
        """
        from pds_bids.evaluation.diagnosis import out_of_fold

        seconds = {"both": "target", "imputed": "synthetic", "substituted": "template"}
        together = {name: np.hstack([views["source"], views[second]]) for name, second in seconds.items()}
        try:
            told = out_of_fold(views | together, arms(), subjects.labels, subjects.subject, seed)
        except ValueError as error:
            raise UsageError(f"{error}; add subjects, or leave that class out") from error
        return cls(target, subjects, seed, told)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One an arm: scores with intervals, and what imputation gains over it."""
        from pds_bids.evaluation.diagnosis import balanced_accuracy, gain, macro_auc, mcnemar, score

        labels, of = self.subjects.labels, (self.subjects.anatomy, self.seed)
        imputed = self.probability[IMPUTED]
        return [
            {
                "missing": self.target.value,
                "arm": arm,
                "n": len(labels),
                "balanced_accuracy": score(balanced_accuracy, labels, told, *of),
                "auc": score(macro_auc, labels, told, *of),
                "imputation_gain_accuracy": gain(balanced_accuracy, labels, [imputed], [told], *of),
                "imputation_gain_auc": gain(macro_auc, labels, [imputed], [told], *of),
                "mcnemar_p": mcnemar(labels, imputed, told) if arm in RIVALS else None,
            }
            for arm, told in self.probability.items()
        ]

    def findings(self) -> Iterator[str]:
        """Whether imputation beats what needs none, and what the acquired volume would have added."""
        from pds_bids.evaluation.diagnosis import balanced_accuracy, gain

        row_of = {row["arm"]: row for row in self.rows}
        missing, source = self.target.full_name, self.target.other.full_name
        for rival in RIVALS:
            row = row_of[rival]
            difference = row["imputation_gain_accuracy"]
            yield (
                f"{missing} missing: imputed from {source}, it {_verdict(difference)} {rival} (balanced "
                f"accuracy {row_of[IMPUTED]['balanced_accuracy'].mean:.3f} against "
                f"{row['balanced_accuracy'].mean:.3f}, difference {interval_text(difference, 3)}, McNemar "
                f"p = {row['mcnemar_p']:.2g})."
            )
        acquired, without = (self.probability[arm] for arm in (REAL, SOURCE_ONLY))
        subjects = self.subjects
        added = gain(balanced_accuracy, subjects.labels, [acquired], [without], subjects.anatomy, self.seed)
        yield (
            f"{missing} acquired: with {source}, it {_verdict(added)} {SOURCE_ONLY} (difference of balanced "
            f"accuracy {interval_text(added, 3)})."
        )

    def chart(self) -> dict[str, Any]:
        """Who was taken for whom."""
        from pds_bids.evaluation.diagnosis import confusion

        labels, told = self.subjects.labels, self.probability
        return {
            "kind": "confusion",
            "title": f"{self.target.full_name} missing",
            "caption": "Subjects by their label (rows) and by what they were told to be (columns).",
            "data": {
                "labels": list(self.subjects.classes),
                "matrices": {arm: confusion(labels, probability) for arm, probability in told.items()},
            },
        }


def _verdict(difference: Interval) -> str:
    if difference.low > 0:
        return "beats"
    return "is worse than" if difference.high < 0 else "does not beat"
