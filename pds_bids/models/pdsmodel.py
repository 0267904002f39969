"""Every network of a checkpoint as one module, with what is fitted beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.models.denoiser import (
    DenoiserConfig,
    DualModalDenoiser,
    Subbands,
    coordinates,
    point_estimate,
)
from pds_bids.models.outlier import OutlierScore, source_features, view_sizes
from pds_bids.models.pattern import N_PLACES, PatternValues
from pds_bids.models.refine import N_TISSUES, Refined, RefinerConfig, TissueRefiner
from pds_bids.models.wavelet import HAAR, VOXELS


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of every network in a checkpoint, and whether they see Haar sub-bands or plain voxels."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    wavelet: bool = True

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ModelConfig:
        """From the tables of a preset or of a checkpoint; lists become tuples.

        Raises
        ------
        TypeError
            If a table has an unknown key, or `wavelet` is neither true nor false.
        """
        wavelet = config.get("wavelet", True)
        if not isinstance(wavelet, bool):
            raise TypeError(f"wavelet = {wavelet!r} must be true or false")

        def frozen(section: dict[str, Any]) -> dict[str, Any]:
            return {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}

        return cls(
            DenoiserConfig(**frozen(config.get("denoiser", {}))),
            RefinerConfig(**frozen(config.get("refiner", {}))),
            wavelet,
        )


class PdsModel(nn.Module):
    """Everything that is learnt: sub-band statistics, denoiser, refiner, population templates, calibration.

    `pattern` is what the networks know of places (None: nothing); give it with `know`.

    `templates` is (M, X, Y, Z), the mean training volume of each modality in [0, 2] (a baseline, and never an
    input); `scale_factor` is (M, T), what the scale that the refiner predicts is multiplied by, in
    each tissue seen in the source, to be the sd of the error.
    """

    templates: Tensor
    scale_factor: Tensor
    places: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.pattern: PatternValues | None = None
        transform = HAAR if config.wavelet else VOXELS
        self.subbands = Subbands(len(Modality), transform)
        self.t1w_subbands = Subbands(1, transform)
        self.denoiser = DualModalDenoiser(config.denoiser)
        self.refiner = TissueRefiner(config.refiner)
        self.outlier = OutlierScore(view_sizes(config.refiner))
        self.register_buffer("templates", torch.zeros(len(Modality), *MODEL_GRID.shape))
        self.register_buffer("scale_factor", torch.ones(len(Modality), N_TISSUES))
        self.register_buffer("places", torch.zeros(N_PLACES, *MODEL_GRID.shape), persistent=False)

    def know(self, pattern: PatternValues) -> None:
        """Take a pattern, which from now on is part of the context."""
        self.pattern = pattern
        self.places.copy_(torch.from_numpy(pattern.places()))

    def context(self, t1w_B1XYZ: Tensor, has_t1w_B: Tensor, flipped_B: Tensor | None = None) -> Tensor:
        """What the networks are told besides the modalities: where it is, what the place is like, the T1w.

        Parameters
        ----------
        t1w_B1XYZ
            In model units, on a grid that fills the field of `MODEL_GRID`.
        has_t1w_B
            False where there is none: nothing of `t1w_B1XYZ` is shown.
        flipped_B
            Whether left and right were exchanged, and with them the places.

        Returns
        -------
        Tensor
            (B, N_CONTEXT, X/2, Y/2, Z/2)
        """
        n, has = len(t1w_B1XYZ), has_t1w_B.to(t1w_B1XYZ.dtype).view(-1, 1, 1, 1, 1)
        t1w = self.t1w_subbands.split(t1w_B1XYZ)[:, 0] * has
        x, y, z = shape = t1w.shape[2:]
        places = F.adaptive_avg_pool3d(self.places, (x, y, z)).expand(n, -1, -1, -1, -1)
        if flipped_B is not None:
            places = torch.where(flipped_B.view(-1, 1, 1, 1, 1), places.flip(2), places)
        where = coordinates(tuple(shape), t1w).expand(n, -1, -1, -1, -1)
        return torch.cat([where, places, t1w, has.expand(-1, -1, *shape)], dim=1)

    def refined(
        self, bands_BMKXYZ: Tensor, target_B: Tensor, context_BCXYZ: Tensor
    ) -> tuple[Tensor, Refined]:
        """Point estimate of the target's sub-bands, and what the refiner makes of it.

        No gradient reaches the denoiser: the refiner is trained on the outputs of a finished one.
        Parameters are those of `point_estimate`.
        """
        with torch.no_grad():
            estimate, source = point_estimate(self.denoiser, bands_BMKXYZ, target_B, context_BCXYZ)
        nothing = torch.zeros_like(estimate)
        return estimate, self.refiner(estimate, source, nothing, target_B, context_BCXYZ)

    def features(self, bands_BMKXYZ: Tensor, mask_B1XYZ: Tensor, source_B: Tensor) -> Tensor:
        """(B, F) what `outlier` scores (see `source_features`)."""
        nothing = torch.full_like(mask_B1XYZ, -1.0)
        context = self.context(nothing, torch.zeros_like(source_B, dtype=torch.bool))
        return source_features(self.denoiser, self.refiner, bands_BMKXYZ, mask_B1XYZ, source_B, context)

    def error_sd(self, refined: Refined, target_B: Tensor) -> Tensor:
        """(B, 1, 2X, 2Y, 2Z) calibrated standard deviation of the error of a refined image.

        A share L of the errors is smaller than the normal quantile of (1 + L) / 2 times this: divided by the
        predicted scale, errors are close to normal.
        """
        seen = refined.tissue_logits[0].float().softmax(dim=1)
        factor = torch.einsum("btxyz,bt->bxyz", seen, self.scale_factor[target_B])[:, None]
        return refined.voxel_log_scale().exp() * F.interpolate(factor, scale_factor=2, mode="nearest")


def count_parameters(module: nn.Module) -> int:
    """Number of learnt values."""
    return sum(p.numel() for p in module.parameters())
