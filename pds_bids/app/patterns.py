"""The `[pattern]` table of a preset to the pattern-aware loss of one training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds_bids.core.errors import UsageError
from pds_bids.core.seeds import derived_seed

if TYPE_CHECKING:
    from pds_bids.training.data import Pairs
    from pds_bids.training.pattern_loss import PatternConfig, PatternLoss


def pattern_config(table: dict[str, Any]) -> PatternConfig:
    """The table as a configuration; without any field, the mode is `off`.

    Raises
    ------
    UsageError
        If there is no such mode or field.
    """
    from pds_bids.training.pattern_loss import PatternConfig

    try:
        return PatternConfig(**table)
    except TypeError as error:
        raise UsageError(f"[pattern] of the preset: {error}; see PatternConfig") from error


def pattern_loss(config: PatternConfig, training: Pairs, seed: int) -> PatternLoss | None:
    """Estimate the pattern and make the loss of it; None where the mode is `off`.

    Parameters
    ----------
    training
        Pairs of training subjects: nobody else's may have a part in it.
    seed
        Of the training.
    """
    import numpy as np

    from pds_bids.prep.rois import roi_atlas
    from pds_bids.training.pattern import estimate_pattern
    from pds_bids.training.pattern_loss import PatternLoss

    if config.mode == "off":
        return None
    values = estimate_pattern(training, roi_atlas(), config.n_pairs)
    counts = f"{values.n_pairs} pairs, {values.n_patients} of patients and {values.n_controls} of controls"
    print(f"pattern: {len(values.atlas)} ROIs from {counts}", flush=True)
    return PatternLoss(values, config, np.random.default_rng(derived_seed(seed, "pattern", config.mode)))
