"""What a mode of the pattern means to networks in use, and to networks that learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pds_bids.app.experiments.finetuning import LEARNING_RATE
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.models.pattern import PatternValues
    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Pairs
    from pds_bids.training.pattern_loss import Mode
    from pds_bids.training.stages import DenoiserObjective


def shown(values: PatternValues, mode: Mode, random: np.random.Generator) -> PatternValues | None:
    """What networks in use are shown in a mode: nothing if `off`, every ROI alike if `mask`."""
    from pds_bids.training.pattern_loss import perturbed

    if mode == "off":
        return None
    if mode == "mask":
        return replace(values, d_MR=np.ones_like(values.d_MR), rho_R=np.ones_like(values.rho_R))
    return perturbed(values, mode, random)


def know(model: PdsModel, values: PatternValues | None) -> None:
    """Take a pattern, or forget the one there is."""
    if values is None:
        model.pattern = None
        model.places.zero_()
    else:
        model.know(values)


def pattern_objective(model: PdsModel, pairs: Pairs, mode: Mode, steps: int, seed: int) -> DenoiserObjective:
    """Of the denoiser, at target time 1 only, with the loss of a mode; the model is told what it is."""
    from pds_bids.training.feed import Feed
    from pds_bids.training.pattern_loss import PatternConfig, PatternLoss
    from pds_bids.training.recipe import StageConfig
    from pds_bids.training.stages import DenoiserObjective
    from pds_bids.training.statistics import Statistics

    assert model.pattern is not None
    loss = None
    if mode != "off":
        random = np.random.default_rng(derived_seed(seed, "pattern", mode))
        loss = PatternLoss(model.pattern, PatternConfig(mode), random)
    know(model, loss.values if loss else None)
    held = Statistics((model.subbands.mean.clone(), model.subbands.sd.clone()), None)
    stage = StageConfig(steps=steps, learning_rate=LEARNING_RATE, regression=1.0)
    objective = DenoiserObjective(model, Feed(pairs, seed, "denoiser", model.templates.device), stage, loss)
    objective.statistics = held, held  # sub-bands stay what the weights were trained on
    return objective
