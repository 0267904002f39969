"""What standardises the sub-bands: their mean and sd in the brains of a few training pairs."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pds_bids.models.denoiser import BANDS
from pds_bids.models.losses import band_weight
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.models.wavelet import HAAR, Transform
from pds_bids.training.data import Batch
from pds_bids.training.feed import Feed

N_PAIRS = 24
"""Pairs that are looked at."""


def subband_statistics(
    images_BMXYZ: Tensor, mask_B1XYZ: Tensor, transform: Transform = HAAR
) -> tuple[Tensor, Tensor]:
    """(M, 8) mean and sd of every sub-band over the brain voxels of images of M kinds."""
    bands = transform.forward(images_BMXYZ).unflatten(1, (-1, BANDS))
    weight = (band_weight(mask_B1XYZ) > 0.5).float()[:, :, None].expand_as(bands)
    dims = (0, 3, 4, 5)
    mean = (bands * weight).sum(dims) / weight.sum(dims)
    centred = (bands - mean[None, :, :, None, None, None]) * weight
    return mean, (centred.square().sum(dims) / weight.sum(dims)).sqrt().clamp(min=1e-4)


class Statistics(NamedTuple):
    """Mean and sd of the sub-bands of the modalities, and of the T1w if there is any."""

    images: tuple[Tensor, Tensor]
    t1w: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, batch: Batch, transform: Transform = HAAR) -> Statistics:
        """Those of a large batch; they hold for its resolution."""
        has = batch.has_t1w
        t1w = subband_statistics(batch.t1w[has], batch.mask[has], transform) if has.any() else None
        return cls(subband_statistics(batch.images, batch.mask, transform), t1w)

    def standardise(self, model: PdsModel) -> None:
        """Let the model split images by these."""
        model.subbands.standardise(*self.images)
        if self.t1w is not None:
            model.t1w_subbands.standardise(*self.t1w)


def first_pairs(feed: Feed) -> Batch:
    """A large batch of training pairs, on the CPU."""
    n = min(N_PAIRS, len(feed.pairs))
    return Feed(feed.pairs, feed.seed, "statistics").batch(0, n, range(n))[0]
