"""Losses: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

AIR_WEIGHT = 0.1


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """sum(w e) / sum(w), with `weight` broadcast to `error`."""
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def mean_by_sample(error: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch (the first axis) of the `weighted_mean` of each sample.

    Samples count alike, so that the mean over the parts of a batch is that of the whole.
    """
    weight = weight.expand_as(error).flatten(1)
    return ((error.flatten(1) * weight).sum(1) / weight.sum(1).clamp(min=1e-6)).mean()


def voxel_weight(mask: Tensor) -> Tensor:
    """One in the brain, `AIR_WEIGHT` elsewhere."""
    return AIR_WEIGHT + (1 - AIR_WEIGHT) * mask


def band_weight(mask_B1XYZ: Tensor) -> Tensor:
    """`voxel_weight` at the resolution of the sub-bands, (B, 1, X/2, Y/2, Z/2)."""
    return F.avg_pool3d(voxel_weight(mask_B1XYZ), 2)


def laplace_nll(error: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace error, voxelwise, without the constant log 2."""
    return error.abs() * torch.exp(-log_scale) + log_scale


def tissue_cross_entropy(logits_BCXYZ: Tensor, fractions_BCXYZ: Tensor, weight_B1XYZ: Tensor) -> Tensor:
    """Cross-entropy against soft tissue fractions."""
    entropy = -(fractions_BCXYZ * F.log_softmax(logits_BCXYZ, dim=1)).sum(dim=1, keepdim=True)
    return mean_by_sample(entropy, weight_B1XYZ)


def gradient_difference(x_BCXYZ: Tensor, y_BCXYZ: Tensor) -> Tensor:
    """Mean absolute difference of finite differences along the three axes (Mathieu 2016)."""
    terms = [(x_BCXYZ.diff(dim=d) - y_BCXYZ.diff(dim=d)).abs().mean() for d in (2, 3, 4)]
    return torch.stack(terms).mean()
