"""The dual-modal denoiser: one U-Net for both directions, with an independent time for each modality."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pds_bids.core.config import Sampler
from pds_bids.core.modality import Modality
from pds_bids.models.blocks import TimeEmbedding, UNet
from pds_bids.models.pattern import N_PLACES
from pds_bids.models.schedule import ClippedCosineEps, CosineV, Schedule, sample
from pds_bids.models.wavelet import HAAR, Transform

BANDS = 8
"""Haar sub-bands of one modality."""

N_CONTEXT = 3 + N_PLACES + BANDS + 1
"""Channels of the context: coordinates, places, sub-bands of the T1w, and whether there is one."""


class Wiring(enum.StrEnum):
    """How a diffusion of two modalities is used to make one of them.

    Under `CONDITIONAL` each modality has its own time; the acquired one stays at 0, and the other is sampled
    given it. `JOINT` is the published wiring, kept as an ablation: both have the same time, both are sampled
    from noise, and nothing of the acquired volume is seen. `CONCAT` is the usual conditional DDPM, a rival:
    only the target is ever noised, its eps is predicted, and the acquired volume stands beside it.
    """

    CONDITIONAL = "conditional"
    JOINT = "joint"
    CONCAT = "concat"


SCHEDULES: Mapping[Wiring, type[Schedule]] = {
    Wiring.CONDITIONAL: CosineV,
    Wiring.JOINT: ClippedCosineEps,
    Wiring.CONCAT: ClippedCosineEps,
}

STAND_IN_STEPS = 10
"""Of the draw that stands for a point estimate where there is none."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Architecture of `DualModalDenoiser` (see `UNet`), and what it is used for."""

    wiring: Wiring = Wiring.CONDITIONAL
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

    def __init__(self, n_kinds: int, transform: Transform = HAAR) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("mean", torch.zeros(n_kinds, BANDS))
        self.register_buffer("sd", torch.ones(n_kinds, BANDS))

    def standardise(self, mean_MK: Tensor, sd_MK: Tensor) -> None:
        """Set the statistics, (M, 8) each."""
        self.mean.copy_(mean_MK)
        self.sd.copy_(sd_MK)

    def split(self, images_BMXYZ: Tensor) -> Tensor:
        """(B, M, X, Y, Z) to (B, M, 8, X/2, Y/2, Z/2)."""
        bands = self.transform.forward(images_BMXYZ).unflatten(1, (-1, BANDS))
        return (bands - self._wide(self.mean)) / self._wide(self.sd)

    def merge(self, bands_BMKXYZ: Tensor) -> Tensor:
        """The inverse of `split`."""
        bands = bands_BMKXYZ * self._wide(self.sd) + self._wide(self.mean)
        return self.transform.inverse(bands.flatten(1, 2))

    def merge_one(self, bands_BKXYZ: Tensor, modality_B: Tensor) -> Tensor:
        """(B, 8, X, Y, Z) of one modality each, given by its position, to images (B, 1, 2X, 2Y, 2Z)."""
        sd, mean = (s[modality_B][:, :, None, None, None] for s in (self.sd, self.mean))
        return self.transform.inverse(bands_BKXYZ * sd + mean)

    @staticmethod
    def _wide(statistic_MK: Tensor) -> Tensor:
        return statistic_MK[None, :, :, None, None, None]


def coordinates(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Where each position lies in the model grid: (1, 3, X, Y, Z) in [-1, 1]."""
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=like.device, dtype=like.dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


class DualModalDenoiser(nn.Module):
    """What the schedule asks for, of both modalities from both: each one's noise is estimated from the other.

    A modality at time 0 is clean, as the acquired source is.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        n = len(Modality)
        self.wiring = Wiring(config.wiring)
        self.schedule = SCHEDULES[self.wiring]()
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
        """Predict v, or eps.

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
            Shaped as `x_BMKXYZ`.
        """
        seen = (x_BMKXYZ * self.schedule.shown(u_BM)[:, :, None, None, None, None]).flatten(1, 2)
        answer = self.unet(torch.cat([seen, context_BCXYZ], dim=1), self.times(u_BM))
        return answer.unflatten(1, (len(Modality), BANDS))


def point_estimate(
    denoiser: DualModalDenoiser, bands_BMKXYZ: Tensor, target_B: Tensor, context_BCXYZ: Tensor
) -> tuple[Tensor, Tensor]:
    """The estimate at time 1, which is a regression of the target on the source.

    Where eps is predicted there is none: one draw, always the same, stands for it.

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
    source = bands_BMKXYZ[rows, 1 - target_B]
    if denoiser.wiring is not Wiring.CONDITIONAL:
        noise = torch.randn((1, *bands_BMKXYZ.shape[1:]), generator=torch.Generator().manual_seed(0))
        noise = noise.to(source).expand_as(bands_BMKXYZ)[None]
        return draw(denoiser, bands_BMKXYZ, target_B, context_BCXYZ, noise, STAND_IN_STEPS)[0], source
    u = torch.zeros(bands_BMKXYZ.shape[:2], device=bands_BMKXYZ.device)
    u[rows, target_B] = 1.0
    v = denoiser(bands_BMKXYZ, u, context_BCXYZ)
    return -v[rows, target_B].float(), source


def draw(
    denoiser: DualModalDenoiser,
    bands_BMKXYZ: Tensor,
    target_B: Tensor,
    context_BCXYZ: Tensor,
    noise_DBMKXYZ: Tensor,
    steps: int,
    sampler: Sampler = Sampler.DDIM,
) -> Tensor:
    """D draws of the target, all of them sampled as one batch.

    Parameters
    ----------
    bands_BMKXYZ, target_B, context_BCXYZ
        As for `point_estimate`.
    noise_DBMKXYZ
        Standard normal: what each draw starts from.
    steps, sampler
        How each is sampled.

    Returns
    -------
    Tensor
        (D, B, 8, X, Y, Z) standardised sub-bands of the target.
    """
    n_draws, size = noise_DBMKXYZ.shape[:2]
    rows = torch.arange(n_draws * size, device=target_B.device)
    bands, target = bands_BMKXYZ.repeat(n_draws, 1, 1, 1, 1, 1), target_B.repeat(n_draws)
    context, noise = context_BCXYZ.repeat(n_draws, 1, 1, 1, 1), noise_DBMKXYZ.flatten(0, 1)

    def given_the_source(x_u: Tensor, u: Tensor) -> Tensor:
        pair = bands.index_put((rows, target), x_u)
        times = torch.zeros(bands.shape[:2], device=bands.device).index_put((rows, target), u)
        return denoiser(pair, times, context)[rows, target].float()

    def jointly(x_u: Tensor, u: Tensor) -> Tensor:
        return denoiser(x_u, u[:, None].expand(bands.shape[:2]), context).float()

    if denoiser.wiring is Wiring.JOINT:
        samples = sample(denoiser.schedule, jointly, noise, steps, sampler)[rows, target]
    else:
        samples = sample(denoiser.schedule, given_the_source, noise[rows, target], steps, sampler)
    return samples.unflatten(0, (n_draws, size))


def mean_and_spread(draws_DBKXYZ: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 8, X, Y, Z) mean of draws and their standard deviation, which is zero for a single one."""
    mean = draws_DBKXYZ.mean(0)
    return mean, draws_DBKXYZ.std(0) if len(draws_DBKXYZ) > 1 else torch.zeros_like(mean)
