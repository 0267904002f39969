"""The dual-modal denoiser: one U-Net for both directions, with an independent time for each modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pds_bids.core.modality import Modality
from pds_bids.models.blocks import TimeEmbedding, UNet
from pds_bids.models.pattern import N_PLACES
from pds_bids.models.schedule import alpha_sigma, ddim
from pds_bids.models.wavelet import haar, inverse_haar

BANDS = 8
"""Haar sub-bands of one modality."""

N_CONTEXT = 3 + N_PLACES + BANDS + 1
"""Channels of the context: coordinates, places, sub-bands of the T1w, and whether there is one."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Architecture of `DualModalDenoiser` (see `UNet`)."""

    channels: tuple[int, ...] = (32, 64, 96)
    blocks: tuple[int, ...] = (1, 2, 2)
    width: int = 128
    attention: bool = True


class Subbands(nn.Module):
    """Images in [-1, 1] to standardised sub-bands and back: each divided by its own training sd.

    `mean` and `sd` are (M, 8) buffers for images of M kinds; they travel in the checkpoint.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, n_kinds: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_kinds, BANDS))
        self.register_buffer("sd", torch.ones(n_kinds, BANDS))

    def standardise(self, mean_MK: Tensor, sd_MK: Tensor) -> None:
        """Set the statistics, (M, 8) each."""
        self.mean.copy_(mean_MK)
        self.sd.copy_(sd_MK)

    def split(self, images_BMXYZ: Tensor) -> Tensor:
        """(B, M, X, Y, Z) to (B, M, 8, X/2, Y/2, Z/2)."""
        bands = haar(images_BMXYZ).unflatten(1, (-1, BANDS))
        return (bands - self._wide(self.mean)) / self._wide(self.sd)

    def merge(self, bands_BMKXYZ: Tensor) -> Tensor:
        """The inverse of `split`."""
        return inverse_haar((bands_BMKXYZ * self._wide(self.sd) + self._wide(self.mean)).flatten(1, 2))

    def merge_one(self, bands_BKXYZ: Tensor, modality_B: Tensor) -> Tensor:
        """(B, 8, X, Y, Z) of one modality each, given by its position, to images (B, 1, 2X, 2Y, 2Z)."""
        sd, mean = (s[modality_B][:, :, None, None, None] for s in (self.sd, self.mean))
        return inverse_haar(bands_BKXYZ * sd + mean)

    @staticmethod
    def _wide(statistic_MK: Tensor) -> Tensor:
        return statistic_MK[None, :, :, None, None, None]


def coordinates(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Where each position lies in the model grid: (1, 3, X, Y, Z) in [-1, 1]."""
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=like.device, dtype=like.dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


class DualModalDenoiser(nn.Module):
    """v of both modalities from both noised modalities: each one's noise is estimated from the other.

    A modality at time 0 is clean (the acquired source); one at time 1 holds no information, and the network
    is not shown its noise: inputs are scaled by alpha / sqrt(alpha^2 + 0.01), which is 0 there. So the
    estimate at u = 1 does not depend on the seed.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        n = len(Modality)
        self.times = TimeEmbedding(config.width, n_times=n)
        self.unet = UNet(
            c_in=n * BANDS + N_CONTEXT,
            c_out=n * BANDS,
            channels=config.channels,
            blocks=config.blocks,
            width=config.width,
            attention=config.attention,
        )

    def forward(self, x_BMKXYZ: Tensor, u_BM: Tensor, context_BCXYZ: Tensor) -> Tensor:
        """Predict v.

        Parameters
        ----------
        x_BMKXYZ
            Standardised sub-bands of each modality, each at its own time.
        u_BM
            The times, in [0, 1].
        context_BCXYZ
            `N_CONTEXT` channels (see `PdsModel.context`).

        Returns
        -------
        Tensor
            v, shaped as `x_BMKXYZ`.
        """
        alpha, _ = alpha_sigma(u_BM)
        visible = alpha * torch.rsqrt(alpha.square() + 0.01)
        seen = (x_BMKXYZ * visible[:, :, None, None, None, None]).flatten(1, 2)
        v = self.unet(torch.cat([seen, context_BCXYZ], dim=1), self.times(u_BM))
        return v.unflatten(1, (len(Modality), BANDS))


def one_step_estimate(
    denoiser: DualModalDenoiser, bands_BMKXYZ: Tensor, target_B: Tensor, context_BCXYZ: Tensor
) -> tuple[Tensor, Tensor]:
    """The estimate at time 1, which is a regression of the target on the source.

    Parameters
    ----------
    bands_BMKXYZ
        Standardised sub-bands; those of the target are not looked at.
    target_B
        Position of the target in `Modality`.
    context_BCXYZ
        As for `DualModalDenoiser`.

    Returns
    -------
    estimate, source
        (B, 8, X, Y, Z) standardised sub-bands of target and source.
    """
    rows = torch.arange(len(target_B), device=target_B.device)
    u = torch.zeros(bands_BMKXYZ.shape[:2], device=bands_BMKXYZ.device)
    u[rows, target_B] = 1.0
    v = denoiser(bands_BMKXYZ, u, context_BCXYZ)
    return -v[rows, target_B].float(), bands_BMKXYZ[rows, 1 - target_B]


def drawn_estimate(
    denoiser: DualModalDenoiser,
    bands_BMKXYZ: Tensor,
    target_B: Tensor,
    context_BCXYZ: Tensor,
    noise_DBKXYZ: Tensor,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of D draws of the target given the source, all of them sampled as one batch.

    Parameters
    ----------
    bands_BMKXYZ, target_B, context_BCXYZ
        As for `one_step_estimate`.
    noise_DBKXYZ
        Standard normal, of the size of the target's sub-bands: what each draw starts from.
    steps
        Of the sampler.

    Returns
    -------
    estimate, source, spread
        (B, 8, X, Y, Z) standardised sub-bands of target and source; the last is the standard deviation of the
        draws, zeros for a single one.
    """
    draws, size = noise_DBKXYZ.shape[:2]
    rows = torch.arange(draws * size, device=target_B.device)
    bands, target = bands_BMKXYZ.repeat(draws, 1, 1, 1, 1, 1), target_B.repeat(draws)
    context = context_BCXYZ.repeat(draws, 1, 1, 1, 1)

    def predict_v(x_u: Tensor, u: Tensor) -> Tensor:
        pair = bands.index_put((rows, target), x_u)
        times = torch.zeros(bands.shape[:2], device=bands.device).index_put((rows, target), u)
        return denoiser(pair, times, context)[rows, target].float()

    samples_DBKXYZ = ddim(predict_v, noise_DBKXYZ.flatten(0, 1), steps).unflatten(0, (draws, size))
    estimate = samples_DBKXYZ.mean(0)
    spread = samples_DBKXYZ.std(0) if draws > 1 else torch.zeros_like(estimate)
    return estimate, bands_BMKXYZ[rows[:size], 1 - target_B], spread
