"""From a scaled source on the model grid to the missing volume, its uncertainty, and a record of how."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pds_bids.core.config import SynthesisConfig
from pds_bids.core.errors import PdsError, TemporaryError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.models.checkpoint import Checkpoint, PdsModel, load_checkpoint
from pds_bids.models.denoiser import draw
from pds_bids.models.device import resolve_device
from pds_bids.synthesis.result import Draws, Synthesised, SynthesisRecord

TOP = 2.0
"""Relative intensities lie in [0, 2]."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synthesiser:
    """A loaded model on a device. Calling it changes nothing in it."""

    checkpoint: Checkpoint
    device: str

    @classmethod
    def load(cls, config: SynthesisConfig) -> Synthesiser:
        """Load the model that the configuration names onto the device it names."""
        torch.set_num_threads(config.threads)
        device = resolve_device(config.device)
        checkpoint = load_checkpoint(config.model)
        model = checkpoint.model.to(device)
        if device == "cpu":
            # Norms go over channels, and oneDNN convolves neighbouring channels: a quarter less time.
            for network in (model.denoiser, model.refiner):
                network.to(memory_format=torch.channels_last_3d)
        return cls(checkpoint, device)

    @property
    def model(self) -> PdsModel:
        """The networks."""
        return self.checkpoint.model

    @cached_property
    def templates(self) -> dict[Modality, Volume]:
        """Mean training volume of each modality, in relative units on the model grid."""
        maps = self.model.templates.cpu().numpy()
        return {m: _volume(data) for m, data in zip(Modality, maps, strict=True)}

    def synthesise(
        self,
        source: Volume,
        mask: Volume,
        target: Modality,
        config: SynthesisConfig,
        seed: int,
        t1w: Volume | None = None,
    ) -> Synthesised:
        """Synthesise one modality from the other.

        Parameters
        ----------
        source
            (80, 96, 88) in [-1, 1], -1 outside the brain, on `MODEL_GRID` (see `prep.intensity`).
        mask
            Brain mask derived from the source, same grid.
        target
            What to make; `source` is taken for the other modality.
        seed
            Of the draws; the point estimate does not depend on it.
        t1w
            The subject's T1w image, scaled, masked and placed like the source, where there is one.

        Raises
        ------
        GridMismatch
            If a volume does not lie on `MODEL_GRID`.
        TemporaryError
            If the GPU's memory does not suffice.
        PdsError
            If the model gives values that are not finite.
        """
        logger.info("model %s runs on %s", self.checkpoint.name, self.device)
        reference = Volume(np.zeros(MODEL_GRID.shape, np.float32), MODEL_GRID.affine, MODEL_SPACE)
        for volume in (source, mask, *([t1w] if t1w else [])):
            reference.require(volume)
        brain = torch.from_numpy((mask.data > 0.5).astype(np.float32)).to(self.device)
        try:
            context = self._context(t1w)
            bands = self._bands(source, target)
            image, sd = self._point_estimate(bands, target, context)
            draws = self._draws(bands, brain, target, context, config, seed) if config.num_samples else None
            score, limit = self._outlier_score(bands, brain, target)
        except torch.cuda.OutOfMemoryError as error:
            raise TemporaryError("the GPU has too little free memory; rerun with --device cpu") from error
        volume, sd_volume = self._inside(image + 1, brain, TOP), self._inside(sd, brain)
        record = self._record(target, config, t1w_context=t1w is not None)
        return Synthesised(volume, sd_volume, draws, score, limit, record)

    def _bands(self, source: Volume, target: Modality) -> Tensor:
        """(1, M, 8, X/2, Y/2, Z/2) standardised sub-bands; those of the target are zero."""
        images = torch.full((1, len(Modality), *MODEL_GRID.shape), -1.0, device=self.device)
        images[0, _index(target.other)] = torch.from_numpy(source.data).to(self.device)
        bands = self.model.subbands.split(images)
        bands[:, _index(target)] = 0
        return bands

    @torch.inference_mode()
    def _context(self, t1w: Volume | None) -> Tensor:
        """(1, N_CONTEXT, X/2, Y/2, Z/2) what the denoiser is told besides the source."""
        image = torch.full((1, 1, *MODEL_GRID.shape), -1.0, device=self.device)
        if t1w is not None:
            image[0, 0] = torch.from_numpy(t1w.data).to(self.device)
        return self.model.context(image, torch.tensor([t1w is not None], device=self.device))

    @torch.inference_mode()
    def _point_estimate(self, bands: Tensor, target: Modality, context: Tensor) -> tuple[Tensor, Tensor]:
        """(X, Y, Z) refined one-step estimate in [-1, 1], and its sd."""
        index = torch.tensor([_index(target)], device=self.device)
        _, refined = self.model.refined(bands, index, context)
        image = self.model.subbands.merge_one(refined.bands_BKXYZ, index)
        return image[0, 0], self.model.error_sd(refined, index)[0, 0]

    @torch.inference_mode()
    def _outlier_score(self, bands: Tensor, brain: Tensor, target: Modality) -> tuple[float, float]:
        """The score of a source, and the limit of its modality."""
        index = torch.tensor([_index(target.other)], device=self.device)
        features = self.model.features(bands, brain[None, None], index)
        score = self.model.outlier(features, index)
        return float(score), float(self.model.outlier.limit[index])

    @torch.inference_mode()
    def _draws(
        self,
        bands: Tensor,
        brain: Tensor,
        target: Modality,
        context: Tensor,
        config: SynthesisConfig,
        seed: int,
    ) -> Draws:
        generator = torch.Generator().manual_seed(seed)
        volumes = [
            self._inside(self._draw(bands, target, context, config.steps, generator) + 1, brain, TOP)
            for _ in range(config.num_samples)
        ]
        stack = np.stack([v.data for v in volumes])
        sd = _volume(stack.std(axis=0, ddof=1)) if len(volumes) > 1 else None
        return Draws(tuple(volumes), _volume(stack.mean(axis=0)), sd)

    def _draw(
        self, bands: Tensor, target: Modality, context: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """(X, Y, Z) one sample in [-1, 1], not refined."""
        index = torch.tensor([_index(target)], device=self.device)
        noise = torch.randn((1, *bands.shape), generator=generator).to(self.device)
        sample = draw(self.model.denoiser, bands, index, context, noise, steps)[0]
        return self.model.subbands.merge_one(sample, index)[0, 0]

    def _inside(self, values: Tensor, mask: Tensor, top: float | None = None) -> Volume:
        """(X, Y, Z) values to a volume: clipped to [0, `top`], zero outside the mask."""
        if not torch.isfinite(values).all():
            raise PdsError(
                f"model {self.checkpoint.name} gave values that are not finite; report this as a bug"
            )
        return _volume((values * mask).clamp(0, top).cpu().numpy())

    def _record(self, target: Modality, config: SynthesisConfig, *, t1w_context: bool) -> SynthesisRecord:
        card = self.checkpoint.card
        return SynthesisRecord(
            model=self.checkpoint.name,
            model_version=str(card.get("version", "unknown")),
            weights_sha256=self.checkpoint.sha256,
            training_data=str(card.get("training_data", "unknown")),
            source=target.other,
            target=target,
            t1w_context=t1w_context,
            num_samples=config.num_samples,
            steps=config.steps if config.num_samples else None,
            seed=config.seed,
            device=self.device,
        )


def _index(modality: Modality) -> int:
    return list(Modality).index(modality)


def _volume(data: NDArray[np.floating]) -> Volume:
    return Volume(np.ascontiguousarray(data, np.float32), MODEL_GRID.affine, MODEL_SPACE)
