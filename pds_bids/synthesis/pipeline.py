"""From a scaled source on the model grid to the missing volume, its uncertainty, and a record of how."""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
from pds_bids.models.checkpoint import Checkpoint, load_checkpoint
from pds_bids.models.denoiser import draw
from pds_bids.models.device import resolve_device
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.synthesis.result import Draws, Synthesised, SynthesisRecord

TOP = 2.0
"""Relative intensities lie in [0, 2]."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What to synthesise, and from what.

    Attributes
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
    """

    source: Volume
    mask: Volume
    target: Modality
    seed: int
    t1w: Volume | None = None


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
                network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
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
        """Synthesise one modality from the other: see `Wanted` and `synthesise_all`."""
        return self.synthesise_all([Wanted(source, mask, target, seed, t1w)], config)[0]

    def synthesise_all(self, wanted: Sequence[Wanted], config: SynthesisConfig) -> list[Synthesised]:
        """Synthesise a modality for each of some scans, in one pass through the networks.

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
        for one in wanted:
            for volume in (one.source, one.mask, *([one.t1w] if one.t1w else [])):
                reference.require(volume)
        try:
            return self._made(wanted, config)
        except torch.cuda.OutOfMemoryError as error:
            raise TemporaryError("the GPU has too little free memory; rerun with --device cpu") from error

    @torch.inference_mode()
    def _made(self, wanted: Sequence[Wanted], config: SynthesisConfig) -> list[Synthesised]:
        source, target = (
            torch.tensor(list(map(_index, modalities)), device=self.device)
            for modalities in ([one.target.other for one in wanted], [one.target for one in wanted])
        )
        brains = torch.stack([torch.from_numpy(one.mask.data > 0.5).float() for one in wanted]).to(
            self.device
        )
        bands, context = self._bands(wanted), self._context([one.t1w for one in wanted])
        _, refined = self.model.refined(bands, target, context)
        images = self.model.subbands.merge_one(refined.bands_BKXYZ, target)[:, 0]
        sds = self.model.error_sd(refined, target)[:, 0]
        samples = self._samples(wanted, bands, target, context, config)
        scores = self.model.outlier(self.model.features(bands, brains[:, None], source), source)
        return [
            Synthesised(
                self._inside(images[k] + 1, brain, TOP),
                self._inside(sds[k], brain),
                _draws([self._inside(sample + 1, brain, TOP) for sample in samples[:, k]]),
                float(scores[k]),
                float(self.model.outlier.limit[source[k]]),
                self._record(one.target, config, t1w_context=one.t1w is not None),
            )
            for k, (one, brain) in enumerate(zip(wanted, brains, strict=True))
        ]

    def _bands(self, wanted: Sequence[Wanted]) -> Tensor:
        """(B, M, 8, X/2, Y/2, Z/2) standardised sub-bands; those of the target are zero."""
        images = torch.full((len(wanted), len(Modality), *MODEL_GRID.shape), -1.0, device=self.device)
        for image, one in zip(images, wanted, strict=True):
            image[_index(one.target.other)] = torch.from_numpy(one.source.data).to(self.device)
        bands = self.model.subbands.split(images)
        for band, one in zip(bands, wanted, strict=True):
            band[_index(one.target)] = 0
        return bands

    def _context(self, t1ws: Sequence[Volume | None]) -> Tensor:
        """(B, N_CONTEXT, X/2, Y/2, Z/2) what the denoiser is told besides the source."""
        images = torch.full((len(t1ws), 1, *MODEL_GRID.shape), -1.0, device=self.device)
        for image, t1w in zip(images, t1ws, strict=True):
            if t1w is not None:
                image[0] = torch.from_numpy(t1w.data).to(self.device)
        return self.model.context(images, torch.tensor([t1w is not None for t1w in t1ws], device=self.device))

    def _samples(
        self,
        wanted: Sequence[Wanted],
        bands: Tensor,
        target: Tensor,
        context: Tensor,
        config: SynthesisConfig,
    ) -> Tensor:
        """(N, B, X, Y, Z) draws in [-1, 1], not refined; one at a time, for memory."""
        generators = [torch.Generator().manual_seed(one.seed) for one in wanted]
        samples = torch.empty((config.num_samples, len(wanted), *MODEL_GRID.shape), device=self.device)
        for sample in samples:
            noise = torch.stack([torch.randn(bands.shape[1:], generator=each) for each in generators])
            drawn = draw(
                self.model.denoiser, bands, target, context, noise[None].to(self.device), config.steps
            )
            sample[:] = self.model.subbands.merge_one(drawn[0], target)[:, 0]
        return samples

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


def _draws(volumes: Sequence[Volume]) -> Draws | None:
    if not volumes:
        return None
    stack = np.stack([volume.data for volume in volumes])
    sd = _volume(stack.std(axis=0, ddof=1)) if len(volumes) > 1 else None
    return Draws(tuple(volumes), _volume(stack.mean(axis=0)), sd)


def _index(modality: Modality) -> int:
    return list(Modality).index(modality)


def _volume(data: NDArray[np.floating]) -> Volume:
    return Volume(np.ascontiguousarray(data, np.float32), MODEL_GRID.affine, MODEL_SPACE)
