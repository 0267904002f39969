"""How unlike the training scans a source is, in one number.

Three views of what the networks make of the source, each with its Mahalanobis distance (Lee 2018) from the
training scans: how the tissue space is filled (contrast, texture), where each tissue lies (pose, field of
view), and how badly the denoiser explains the source itself (noise, another contrast). The furthest counts,
for what is wrong in one view would drown in the others. The number is blind to whatever leaves all three as
they are: left and right exchanged, or a small lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.models.denoiser import BANDS, DualModalDenoiser
from pds_bids.models.refine import N_TISSUES, RefinerConfig, TissueRefiner

TIMES = (0.15, 0.6)
"""Of the noise on the source: little, which tries fine detail, and much, which tries the large forms."""

NOISE_SEED = 0
"""The noise is always the same, so that the number is."""

OCTANTS = 8
"""Halves of the grid along each axis, in which tissues are counted."""

SMALLEST_SD = 1e-3
"""A feature that hardly varied in training says no more than this: all are of order one."""

SMALLEST_SHARE = 1e-4
"""Of the identity in a covariance: the formula leaves none to two scans, and theirs cannot be inverted."""

LIMIT_LEVEL = 0.95
"""Share of calibration scans below the limit: a few tens of them cannot tell of the last 1 %."""


def view_sizes(config: RefinerConfig) -> tuple[int, int, int]:
    """Features of each view: tissue space, places of tissues, denoising."""
    return 2 * config.projector, OCTANTS * N_TISSUES, len(TIMES) * BANDS


def source_features(
    denoiser: DualModalDenoiser,
    refiner: TissueRefiner,
    bands_BMKXYZ: Tensor,
    mask_B1XYZ: Tensor,
    source_B: Tensor,
    context_BCXYZ: Tensor,
) -> Tensor:
    """(B, F) of each source, view after view; the target is not looked at, and nothing is random.

    Parameters
    ----------
    bands_BMKXYZ
        Standardised sub-bands; only those of the source are used.
    mask_B1XYZ
        Brain mask on the voxels' grid, twice as fine.
    source_B
        Position of the source in `Modality`.
    context_BCXYZ
        As for `DualModalDenoiser`, of somebody without a T1w: the source is judged alone.
    """
    rows = torch.arange(len(source_B), device=source_B.device)
    source = bands_BMKXYZ[rows, source_B]
    brain = F.avg_pool3d(mask_B1XYZ, 2)
    features = refiner.features(source, source_B)
    tissues = F.adaptive_avg_pool3d(refiner.logits(features).float().softmax(1) * brain, 2)
    hidden = features.float()
    mean = _brain_mean(hidden, brain)
    sd = _brain_mean((hidden - mean[:, :, None, None, None]).square(), brain).sqrt()
    unexplained = [
        _brain_mean(_residual(denoiser, source, source_B, context_BCXYZ, u).square(), brain) for u in TIMES
    ]
    log_unexplained = torch.cat(unexplained, dim=1).clamp(min=1e-8).log()
    return torch.cat([mean, sd, tissues.flatten(1), log_unexplained], dim=1)


def _brain_mean(maps_BCXYZ: Tensor, brain_B1XYZ: Tensor) -> Tensor:
    weight = brain_B1XYZ.sum((2, 3, 4)).clamp(min=1)
    return (maps_BCXYZ * brain_B1XYZ).sum((2, 3, 4)) / weight


def _residual(
    denoiser: DualModalDenoiser, source: Tensor, source_B: Tensor, context: Tensor, time: float
) -> Tensor:
    """(B, 8, X, Y, Z) what the denoiser's estimate of a noised source lacks, its target being unknown."""
    rows = torch.arange(len(source_B), device=source_B.device)
    generator = torch.Generator().manual_seed(NOISE_SEED)
    eps = torch.randn(source.shape[1:], generator=generator).to(source).expand_as(source)
    u_B = torch.full((len(source_B),), time, device=source.device)
    x_u = denoiser.schedule.noised(source, eps, u_B)
    pair = torch.zeros_like(source)[:, None].repeat(1, len(Modality), 1, 1, 1, 1)
    pair[rows, source_B] = x_u
    times = torch.ones(len(source_B), len(Modality), device=source.device)
    times[rows, source_B] = time
    said = denoiser(pair, times, context)[rows, source_B].float()
    x0_hat, _ = denoiser.schedule.solve(x_u, said, u_B)
    return x0_hat - source


def shrunk_covariance(centred_NF: Tensor) -> Tensor:
    """(F, F) covariance of (N, F) centred rows, shrunk to a multiple of the identity (Ledoit & Wolf 2004)."""
    n, f = centred_NF.shape
    sample = centred_NF.T @ centred_NF / n
    target = sample.trace() / f * torch.eye(f, dtype=sample.dtype, device=sample.device)
    distance = (sample - target).square().sum()
    # sum over rows of |x x' - S|^2, without the N matrices x x'
    scatter = centred_NF.square().sum(1).square().sum() - n * sample.square().sum()
    share = (scatter / n**2 / distance.clamp(min=1e-12)).clamp(SMALLEST_SHARE, 1)
    return share * target + (1 - share) * sample


class OutlierScore(nn.Module):
    """The furthest view's distance, where 1 is what 5 % of the calibration scans exceed in that view.

    Buffers, by source modality: `centre` (M, F) and `whitening` (M, F, F) of the training scans, which knows
    of no covariance between views; `usual` (M, V), the distance of each view that stands for 1; `limit` (M,),
    the score that 5 % of the calibration scans exceed. Unfitted, scores and limits are 0.
    """

    centre: Tensor
    whitening: Tensor
    usual: Tensor
    limit: Tensor

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        n, total = len(Modality), sum(sizes)
        self.sizes = sizes
        self.register_buffer("centre", torch.zeros(n, total))
        self.register_buffer("whitening", torch.zeros(n, total, total))
        self.register_buffer("usual", torch.ones(n, len(sizes)))
        self.register_buffer("limit", torch.zeros(n))

    def fit(self, source: int, training_NF: Tensor, calibration_NF: Tensor) -> None:
        """Take the distribution from training scans, and what is usual from calibration scans."""
        features = training_NF.double()
        centred, sd = features - features.mean(0), features.std(0, correction=0).clamp(min=SMALLEST_SD)
        views = (centred / sd).split(self.sizes, dim=1)
        whitening = torch.block_diag(*(_whitening(view) for view in views)) / sd
        self.centre[source] = features.mean(0).float()
        self.whitening[source] = whitening.float()
        which = torch.full((len(calibration_NF),), source, device=self.limit.device)
        self.usual[source] = self._distances(calibration_NF, which).quantile(LIMIT_LEVEL, dim=0)
        self.limit[source] = self(calibration_NF, which).quantile(LIMIT_LEVEL)

    def forward(self, features_BF: Tensor, source_B: Tensor) -> Tensor:
        """(B,) scores."""
        return (self._distances(features_BF, source_B) / self.usual[source_B]).amax(1)

    def _distances(self, features_BF: Tensor, source_B: Tensor) -> Tensor:
        """(B, V) root mean square of each view's whitened features."""
        away = features_BF - self.centre[source_B]
        whitened = torch.einsum("bfg,bg->bf", self.whitening[source_B], away)
        return torch.stack([view.square().mean(1).sqrt() for view in whitened.split(self.sizes, 1)], dim=1)


def _whitening(standardised_NF: Tensor) -> Tensor:
    """(F, F) W with W' W the inverse of the shrunk covariance, which is given `SMALLEST_SD` at least."""
    f = standardised_NF.shape[1]
    identity = torch.eye(f, dtype=standardised_NF.dtype, device=standardised_NF.device)
    factor = torch.linalg.cholesky(shrunk_covariance(standardised_NF) + SMALLEST_SD**2 * identity)
    return torch.linalg.solve_triangular(factor, identity, upper=False)
