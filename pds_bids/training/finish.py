"""After training: the population templates and the calibration that travel with the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.models.checkpoint import PdsModel
from pds_bids.training.data import Batch, Pairs, make_batch

CALIBRATED_LEVEL = 0.8
"""The share of errors that the central interval of this probability is made to hold."""

THINNING = 37
"""One voxel in so many is enough for a quantile; a prime, so that no plane of the grid is preferred."""


def set_templates(model: PdsModel, pairs: Pairs) -> None:
    """Mean training volume of each modality in relative units, over the voxels each mask covers."""
    total = torch.zeros_like(model.templates)
    weight = torch.zeros_like(model.templates)
    for row in range(len(pairs)):
        for target in range(len(Modality)):
            batch = make_batch(pairs.get([row]), [target], None)
            mask = batch.mask[0, 0].to(total.device)
            total[target] += (batch.images[0, target].to(total.device) + 1) * mask
            weight[target] += mask
    model.templates.copy_(total / weight.clamp(min=1))


@torch.inference_mode()
def predict(model: PdsModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """One-step estimate, refined estimate, and Laplace scale, each (B, 1, X, Y, Z) in model units."""
    context = model.context(batch.t1w, batch.has_t1w)
    estimate, refined = model.refined(model.subbands.split(batch.images), batch.target, context)
    first, last = (model.subbands.merge_one(b, batch.target) for b in (estimate, refined.bands_BKXYZ))
    return first, last, refined.voxel_log_scale().exp()


def calibrate(model: PdsModel, pairs: Pairs) -> dict[str, float]:
    """Set one factor per modality so that the 80 % interval holds 80 % of the calibration errors.

    Returns
    -------
    dict
        The factors by modality.
    """
    device = model.templates.device
    half_width = -math.log(1 - CALIBRATED_LEVEL)  # of the central interval of a Laplace error of scale 1
    for target in range(len(Modality)):
        ratios = []
        for row in range(len(pairs)):
            batch = make_batch(pairs.get([row]), [target], None).to(device)
            _, refined, scale = predict(model, batch)
            inside = batch.mask > 0
            error = (refined - batch.images[:, target : target + 1]).abs()
            ratios.append((error / (scale * half_width))[inside][::THINNING])
        model.scale_factor[target] = torch.cat(ratios).quantile(CALIBRATED_LEVEL)
    return {m.value: round(float(f), 4) for m, f in zip(Modality, model.scale_factor, strict=True)}
