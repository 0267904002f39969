"""What a prediction is worth: numbers for the tables, and curves for the figures."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.rois import RoiGroup
from pds_bids.core.volume import MODEL_GRID
from pds_bids.prep.rois import roi_atlas

if TYPE_CHECKING:
    from pds_bids.app.methods import Case, Prediction
    from pds_bids.evaluation.metrics import Array

LEVELS = (0.5, 0.8, 0.9)
"""Probabilities of the intervals whose coverage is told."""

NOMINAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Those of the calibration curve."""

GROUPS_TOLD = (RoiGroup.LIMBIC, RoiGroup.SUBCORTICAL, RoiGroup.VENTRICULAR)

OF_UNCERTAINTY = ("crps", "crps_draws", "ause", "spread_skill_slope", "spread_skill_ratio")
"""What there is of an uncertainty besides its coverage."""

KEPT_LEVELS = slice(None, None, 5)
"""Of the hundred levels of a sparsification, those in its curve."""

ABSENT = float("nan")


@cache
def roi_labels() -> NDArray[np.int64]:
    """(X, Y, Z) position of the ROI that a voxel of the model grid belongs to, plus one; 0 is in none."""
    return roi_atlas().labels(MODEL_GRID)


def measured(prediction: Prediction, case: Case) -> dict[str, float]:
    """Every metric of one prediction: NaN where there is no uncertainty, or the brain lacks a tissue."""
    from pds_bids.evaluation.metrics import mae, nmi, psnr, sharpness, ssim, whole_psnr

    volume, truth, mask = prediction.volume, case.truth, case.mask
    return {
        "psnr_db": psnr(volume, truth, mask),
        "psnr_whole_db": whole_psnr(volume, truth, mask),
        "brain_fraction": float(mask.mean()),
        "ssim": ssim(volume, truth, mask),
        "sharpness": sharpness(volume, truth, mask),
        "nmi": nmi(volume, truth, mask),
        **{f"mae{at}": mae(volume, truth, where) if where.any() else ABSENT for at, where in _places(case)},
        **_of_rois(volume, case),
        **_of_uncertainty(prediction, case),
    }


def _places(case: Case) -> list[tuple[str, NDArray[np.bool_]]]:
    """Parts of the brain with the ends of their metrics' names."""
    return [("", case.mask), *((f"_{tissue}", where) for tissue, where in case.tissues.items())]


def _of_rois(volume: Array, case: Case) -> dict[str, float]:
    """Mean over ROIs, all or those of a group, of the mean absolute error in each that the brain holds."""
    from pds_bids.evaluation.metrics import mae_of_rois

    groups = np.array(roi_atlas().groups)
    errors = mae_of_rois(volume, case.truth, roi_labels() * case.mask, len(groups))
    chosen = {"mae_rois": errors} | {f"mae_{group}": errors[groups == group] for group in GROUPS_TOLD}
    return {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else ABSENT
        for name, values in chosen.items()
    }


def _of_uncertainty(prediction: Prediction, case: Case) -> dict[str, float]:
    from pds_bids.evaluation.metrics import coverage
    from pds_bids.evaluation.uncertainty import ensemble_crps, normal_crps, sparsification, spread_skill

    volume, sd, samples = prediction
    truth, mask = case.truth, case.mask

    places = {f"{100 * level:.0f}{at}": (level, where) for level in LEVELS for at, where in _places(case)}
    scores = dict.fromkeys((*(f"coverage_{place}" for place in places), *OF_UNCERTAINTY), ABSENT)
    if samples is not None:
        scores["crps_draws"] = ensemble_crps(samples, truth, mask)
    if sd is None:
        return scores
    error, skill = volume - truth, spread_skill(volume - truth, sd, mask)
    for place, (level, where) in places.items():
        if where.any():
            scores[f"coverage_{place}"] = coverage(error, sd, where, level)
    return scores | {
        "crps": normal_crps(error, sd, mask),
        "ause": sparsification(error, sd, mask).ause,
        "spread_skill_slope": skill.slope,
        "spread_skill_ratio": skill.ratio,
    }


def curves(prediction: Prediction, case: Case) -> dict[str, list[float]]:
    """What the figures show of one prediction.

    Returns
    -------
    dict
        `roi_truth` and `roi_predicted`, the means in each ROI, NaN where the brain lacks it; with an
        uncertainty also `covered`, the coverage at `NOMINAL`, and `by_sd` and `by_error` (see
        `Sparsification`).
    """
    from pds_bids.evaluation.metrics import coverage, means_of_rois
    from pds_bids.evaluation.uncertainty import sparsification

    volume, sd, _ = prediction
    labels, n_rois = roi_labels() * case.mask, len(roi_atlas())
    found = {
        f"roi_{name}": means_of_rois(image, labels, n_rois).tolist()
        for name, image in (("truth", case.truth), ("predicted", volume))
    }
    if sd is None:
        return found
    error = volume - case.truth
    sparse = sparsification(error, sd, case.mask)
    return found | {
        "covered": [coverage(error, sd, case.mask, level) for level in NOMINAL],
        "by_sd": sparse.by_sd[KEPT_LEVELS].tolist(),
        "by_error": sparse.by_error[KEPT_LEVELS].tolist(),
    }
