"""What a network has to be better than: methods that need none, as `pds-model evaluate` scores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pds_bids.app.methods import Case, Contestant, Prediction

if TYPE_CHECKING:
    from pds_bids.evaluation.baselines import FitPair, PersonalTemplate, QuantileMap, VoxelwiseLine
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Pairs

TEMPLATE = "population template"
"""Row of the mean of those whom the model was trained on."""


def unfitted_baselines(model: PdsModel) -> Contestant:
    """A brain of one intensity, and the population template of the model's training."""
    templates = model.templates.cpu().numpy()

    def predictions(case: Case) -> dict[str, Prediction]:
        return {
            "flat brain": Prediction(np.ones_like(case.truth)),
            TEMPLATE: Prediction(templates[case.target]),
        }

    return predictions


def fitted_baselines(training: Callable[[], Pairs]) -> Contestant:
    """The template adjusted for age and sex, the source with the target's histogram, and a line for every
    voxel, fitted to pairs of training when they are first asked.

    Of somebody whose age or sex nobody knows there is no adjusted template.
    """

    @cache
    def fitted(target: int) -> Fitted:
        return Fitted.to(training(), target)

    def predictions(case: Case) -> dict[str, Prediction]:
        fit, source, who = fitted(case.target), case.source_volume, case.age_and_sex
        rows = {
            "copied source, matched": Prediction(fit.quantiles(source).clip(0, 2)),
            "voxelwise linear": Prediction(fit.line(source).clip(0, 2)),
        }
        if fit.template is None or np.isnan(who).any():
            return rows
        return {"template for age and sex": Prediction(fit.template(*who).clip(0, 2)), **rows}

    return predictions


class Fitted(NamedTuple):
    """What is fitted to the same pairs in one direction; no template where too little is known of people."""

    quantiles: QuantileMap
    line: VoxelwiseLine
    template: PersonalTemplate | None

    @classmethod
    def to(cls, training: Pairs, target: int) -> Fitted:
        """Fit all, one pair in memory at a time."""
        from pds_bids.evaluation.baselines import FitPair, PersonalTemplate, QuantileMap, VoxelwiseLine

        def pairs(rows: Sequence[int]) -> Iterator[FitPair]:
            cases = (Case.of(training, row, target) for row in rows)
            return (FitPair(case.source_volume, case.truth, case.mask) for case in cases)

        everybody = range(len(training))
        who = np.array([Case.of(training, row, target).age_and_sex for row in everybody])
        known = np.flatnonzero(~np.isnan(who).any(axis=1)).tolist()
        enough = len(known) >= PersonalTemplate.LEAST
        return cls(
            QuantileMap.fit(pairs(everybody)),
            VoxelwiseLine.fit(pairs(everybody)),
            PersonalTemplate.fit(pairs(known), *who[known].T) if enough else None,
        )
