"""After training: the population templates and the calibration that travel with the weights."""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

from pds_bids.core.modality import Modality
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.models.refine import TISSUES
from pds_bids.models.wavelet import blocks_to_voxels
from pds_bids.training.data import Batch, Pairs, make_batch

LEVELS = (0.8, 0.9)
"""The central intervals of these probabilities are made to hold that share of the errors."""

ROUNDS = 3
"""Of fitting one factor a tissue: sources are seen as mixtures of tissues, so that factors hang together."""

N_FITTED = 128
"""Training scans that the outlier score is fitted on: several for each of its features."""

THINNING = 37
"""One voxel in so many is enough for a quantile; a prime, so that no plane of the grid is preferred."""


def set_templates(model: PdsModel, pairs: Pairs) -> None:
    """Mean training volume of each modality in relative units, over the voxels where it is known."""
    total = torch.zeros_like(model.templates)
    weight = torch.zeros_like(model.templates)
    for row in range(len(pairs)):
        sample = pairs.get([row])
        for target in range(len(Modality)):
            batch = make_batch(sample, [target], None)
            mask = batch.known[0, 0].to(total.device)
            total[target] += (batch.images[0, target].to(total.device) + 1) * mask
            weight[target] += mask
    model.templates.copy_(total / weight.clamp(min=1))


@torch.inference_mode()
def predict(model: PdsModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """One-step estimate, refined estimate, and sd of its error, each (B, 1, X, Y, Z) in model units."""
    context = model.context(batch.t1w, batch.has_t1w)
    estimate, refined = model.refined(model.subbands.split(batch.images), batch.target, context)
    first, last = (model.subbands.merge_one(b, batch.target) for b in (estimate, refined.bands_BKXYZ))
    return first, last, model.error_sd(refined, batch.target)


def calibrate(model: PdsModel, pairs: Pairs) -> dict[str, dict[str, float]]:
    """Set one factor per modality and tissue so that intervals hold their share of the calibration errors.

    Returns
    -------
    dict
        The factors by modality and tissue.
    """
    device = model.templates.device
    for target in range(len(Modality)):
        batches = (make_batch(pairs.get([row]), [target], None).to(device) for row in range(len(pairs)))
        errors = (_errors(model, told) for batch in batches for told in _with_and_without_t1w(batch))
        ratio_N, seen_TN, weight_TN = (torch.cat(parts, dim=-1) for parts in zip(*errors, strict=True))
        model.scale_factor[target] = tissue_factors(ratio_N, seen_TN, weight_TN)
    return {
        modality.value: {tissue: round(float(f), 4) for tissue, f in zip(TISSUES, factors, strict=True)}
        for modality, factors in zip(Modality, model.scale_factor, strict=True)
    }


def fit_outlier_score(model: PdsModel, training: Pairs, calibration: Pairs) -> dict[str, float]:
    """Fit the score of unusual sources to training scans, and its limit to calibration scans.

    Returns
    -------
    dict
        The limits by source modality.
    """
    every = -(-len(training) // N_FITTED)
    for source in range(len(Modality)):
        fitted = _features(model, training, range(0, len(training), every), source)
        held_out = _features(model, calibration, range(len(calibration)), source)
        model.outlier.fit(source, fitted, held_out)
    return {m.value: round(float(limit), 4) for m, limit in zip(Modality, model.outlier.limit, strict=True)}


@torch.inference_mode()
def _features(model: PdsModel, pairs: Pairs, rows: range, source: int) -> Tensor:
    """(N, F) of the sources of one modality."""
    batches = (make_batch(pairs.get([row]), [1 - source], None).to(model.templates.device) for row in rows)
    return torch.cat([model.features(model.subbands.split(b.images), b.mask, 1 - b.target) for b in batches])


def _with_and_without_t1w(batch: Batch) -> list[Batch]:
    without = batch._replace(has_t1w=torch.zeros_like(batch.has_t1w))
    return [batch, without] if batch.has_t1w.any() else [without]


@torch.inference_mode()
def _errors(model: PdsModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Of some voxels of one brain: error over predicted scale (N,), tissues seen (T, N), weights (T, N).

    A voxel counts for a tissue by its true share of it; where no truth is known, by what is seen.
    """
    context = model.context(batch.t1w, batch.has_t1w)
    _, refined = model.refined(model.subbands.split(batch.images), batch.target, context)
    image = model.subbands.merge_one(refined.bands_BKXYZ, batch.target)[0, 0]
    error = (image.clamp(-1, 1) - batch.images[0, int(batch.target)]).abs()
    seen = refined.tissue_logits[0].softmax(dim=1)
    weight = batch.tissue if batch.tissue.any() else seen
    inside = batch.known[0, 0] > 0
    scale, seen, weight = (
        voxels[..., inside][..., ::THINNING]
        for voxels in (refined.voxel_log_scale().exp()[0, 0], _at_voxels(seen[0]), _at_voxels(weight[0]))
    )
    return error[inside][::THINNING] / scale, seen, weight


def _at_voxels(blocks_TXYZ: Tensor) -> Tensor:
    """(T, X, Y, Z) to (T, 2X, 2Y, 2Z): each voxel is given its block's value."""
    return blocks_to_voxels(blocks_TXYZ[:, None].expand(-1, 8, -1, -1, -1))[:, 0]


def tissue_factors(ratio_N: Tensor, seen_TN: Tensor, weight_TN: Tensor) -> Tensor:
    """(T,) factors that make errors, over scale times mixed factors, standard normal at `LEVELS`.

    Parameters
    ----------
    ratio_N
        Absolute error over predicted scale.
    seen_TN
        Tissues seen in the source: a voxel's factor is the sum of the tissues' factors, weighted by these.
    weight_TN
        How much a voxel counts in the fit of each tissue.
    """
    factor_T = torch.ones_like(seen_TN[:, 0])
    for _ in range(ROUNDS):
        standardised = ratio_N / (factor_T @ seen_TN)
        for tissue, weight_N in enumerate(weight_TN):
            excess = [_weighted_quantile(standardised, weight_N, q) / _half_width(q) for q in LEVELS]
            factor_T[tissue] *= sum(excess) / len(LEVELS)
    return factor_T


def _half_width(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _weighted_quantile(values_N: Tensor, weight_N: Tensor, level: float) -> Tensor:
    """Of all values alike where none has any weight."""
    ordered, order = values_N.sort()
    share = (weight_N[order].double() + 1e-6).cumsum(dim=0)
    return ordered[torch.searchsorted(share, level * share[-1]).clamp(max=len(ordered) - 1)]
