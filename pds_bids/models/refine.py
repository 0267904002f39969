"""The tissue refiner: sharpens the estimate with the help of one tissue space for both modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pds_bids.models.blocks import UNet
from pds_bids.models.convolution import Convolution
from pds_bids.models.denoiser import BANDS, N_CONTEXT, coordinates
from pds_bids.models.wavelet import blocks_to_voxels

TISSUES = ("grey matter", "white matter", "CSF", "other")

N_TISSUES = len(TISSUES)

LOG_SCALE_START = -2.0
"""Untrained, the refiner expects errors of exp(-2) = 0.14 in units where the brain's median is 1."""

LOG_SCALE_LIMITS = (-7.0, 2.0)


@dataclass(frozen=True)
class RefinerConfig:
    """Architecture of `TissueRefiner` (see `UNet`)."""

    channels: tuple[int, ...] = (24, 48, 72)
    blocks: tuple[int, ...] = (1, 1, 1)
    projector: int = 24


class Refined(NamedTuple):
    """What the refiner says; spatial sizes are those of the sub-bands.

    Attributes
    ----------
    bands_BKXYZ
        (B, 8, X, Y, Z) standardised sub-bands of the refined target.
    log_scale_BKXYZ
        (B, 8, X, Y, Z) natural logarithm of the Laplace scale of the error, the eight voxels of each block.
    tissue_logits
        Of source and of refined target, (B, 4, X, Y, Z) each.
    """

    bands_BKXYZ: Tensor
    log_scale_BKXYZ: Tensor
    tissue_logits: tuple[Tensor, Tensor]

    def voxel_log_scale(self) -> Tensor:
        """(B, 1, 2X, 2Y, 2Z) `log_scale_BKXYZ`, kept where its exponential is a believable error."""
        return blocks_to_voxels(self.log_scale_BKXYZ.float()).clamp(*LOG_SCALE_LIMITS)


class TissueRefiner(nn.Module):
    """Residual correction of the estimated target from estimate, source, context, and the tissues seen.

    One projector maps the sub-bands of either modality to tissue logits, so that both modalities meet in one
    tissue space. `target_index` (B,) tells the network which modality it refines.
    """

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        c = config.projector
        self.projector = nn.Sequential(
            Convolution(BANDS + 1 + 3, c, 3, padding=1),
            nn.SiLU(),
            Convolution(c, c, 3, padding=1),
            nn.SiLU(),
            Convolution(c, N_TISSUES, 1),
        )
        self.unet = UNet(
            c_in=2 * BANDS + 2 * N_TISSUES + BANDS + 1 + N_CONTEXT,
            c_out=2 * BANDS,
            channels=config.channels,
            blocks=config.blocks,
            width=0,
            attention=False,
        )

    def tissues(self, bands_BKXYZ: Tensor, modality_B: Tensor) -> Tensor:
        """(B, 4, X, Y, Z) logits of the tissue fractions of each 2 x 2 x 2 block."""
        return self.logits(self.features(bands_BKXYZ, modality_B))

    def logits(self, features_BCXYZ: Tensor) -> Tensor:
        """(B, 4, X, Y, Z) what the features say of tissues."""
        return self.projector[-1](features_BCXYZ)

    def features(self, bands_BKXYZ: Tensor, modality_B: Tensor) -> Tensor:
        """(B, C, X, Y, Z) of the tissue space: what the tissue logits are a linear function of."""
        where = coordinates(tuple(bands_BKXYZ.shape[2:]), bands_BKXYZ).expand(
            len(bands_BKXYZ), -1, -1, -1, -1
        )
        return self.projector[:-1](torch.cat([bands_BKXYZ, _flag(modality_B, bands_BKXYZ), where], dim=1))

    def forward(
        self, estimate: Tensor, source: Tensor, spread: Tensor, target_index: Tensor, context_BCXYZ: Tensor
    ) -> Refined:
        """Refine.

        Parameters
        ----------
        estimate, source
            (B, 8, X, Y, Z) standardised sub-bands.
        spread
            (B, 8, X, Y, Z) standard deviation of the draws the estimate is the mean of; zeros for one
            estimate.
        target_index
            (B,) 0 or 1: position of the target in `Modality`.
        context_BCXYZ
            What the denoiser is told too (see `PdsModel.context`).
        """
        seen = self.tissues(source, 1 - target_index)
        guess = self.tissues(estimate, target_index)
        inputs = [estimate, source, spread, F.softmax(seen, 1), F.softmax(guess, 1)]
        out = self.unet(torch.cat([*inputs, _flag(target_index, estimate), context_BCXYZ], dim=1))
        refined = estimate + out[:, :BANDS]
        return Refined(refined, out[:, BANDS:] + LOG_SCALE_START, (seen, self.tissues(refined, target_index)))


def _flag(modality_B: Tensor, like: Tensor) -> Tensor:
    """(B, 1, X, Y, Z) which modality it is, everywhere."""
    return modality_B.to(like.dtype).view(-1, 1, 1, 1, 1).expand(-1, 1, *like.shape[2:])
