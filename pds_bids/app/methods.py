"""The methods that `pds-model evaluate` compares: what each makes of one subject in one direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.modality import Modality

if TYPE_CHECKING:
    from torch import Tensor

    from pds_bids.evaluation.baselines import FitPair
    from pds_bids.models.checkpoint import PdsModel
    from pds_bids.training.data import Batch, Pairs

N_DRAWS = 4
STEPS = 8

Array = NDArray[np.floating]


class Prediction(NamedTuple):
    """A volume in relative units, (X, Y, Z) in [0, 2], and the standard deviation of its error if known."""

    volume: Array
    sd: Array | None = None


@dataclass(frozen=True)
class Case:
    """One subject in one direction.

    Attributes
    ----------
    batch
        Of one pair.
    seed
        Of whatever is drawn for it.
    """

    batch: Batch
    seed: int

    @classmethod
    def of(cls, pairs: Pairs, row: int, target: int, seed: int = 0) -> Case:
        """One pair, as a network in use would see it: nothing about it is random."""
        from pds_bids.training.data import make_batch

        return cls(make_batch(pairs.get([row]), [target], None), seed)

    @property
    def target(self) -> int:
        """Position of the target in `Modality`."""
        return int(self.batch.target[0])

    @cached_property
    def source_volume(self) -> Array:
        """(X, Y, Z) what is given, in [0, 2]."""
        return relative(self.batch.images[0, 1 - self.target])

    @cached_property
    def truth(self) -> Array:
        """(X, Y, Z) what is to be found, in [0, 2]."""
        return relative(self.batch.images[0, self.target])

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(X, Y, Z) where it is scored: the brain mask of the source, as far as the target reaches."""
        inside: NDArray[np.bool_] = self.batch.known[0, 0].numpy() > 0
        return inside

    @cached_property
    def tissues(self) -> dict[str, NDArray[np.bool_]]:
        """(X, Y, Z) where in the mask the truth is mostly one tissue."""
        names = ("grey", "white", "csf")
        return {
            name: self.mask & (np.kron(share, np.ones((2, 2, 2), np.float32)) > 0.5)
            for name, share in zip(names, self.batch.tissue[0, : len(names)].numpy(), strict=True)
        }


def relative(image: Tensor) -> Array:
    """Model units in [-1, 1] to relative ones in [0, 2], clipped; any shape."""
    values: Array = (image + 1).clamp(0, 2).cpu().numpy()
    return values


Contestant = Callable[[Case], dict[str, Prediction]]
"""Fills some rows of the table: predictions by the name of the row."""


def unfitted_baselines(model: PdsModel) -> Contestant:
    """A brain of one intensity, and the population template of the model's training."""
    templates = model.templates.cpu().numpy()

    def predictions(case: Case) -> dict[str, Prediction]:
        return {
            "flat brain": Prediction(np.ones_like(case.truth)),
            "population template": Prediction(templates[case.target]),
        }

    return predictions


def fitted_baselines(training: Pairs) -> Contestant:
    """The source with the target's histogram, and a line for every voxel, fitted to pairs of training."""
    from pds_bids.evaluation.baselines import FitPair, QuantileMap, VoxelwiseLine

    def pairs(target: int) -> Iterator[FitPair]:
        cases = (Case.of(training, row, target) for row in range(len(training)))
        return (FitPair(case.source_volume, case.truth, case.mask) for case in cases)

    targets = range(len(Modality))
    maps, lines = ([fitted.fit(pairs(k)) for k in targets] for fitted in (QuantileMap, VoxelwiseLine))

    def predictions(case: Case) -> dict[str, Prediction]:
        source = case.source_volume
        return {
            "copied source, matched": Prediction(maps[case.target](source).clip(0, 2)),
            "voxelwise linear": Prediction(lines[case.target](source).clip(0, 2)),
        }

    return predictions


@dataclass(frozen=True)
class Outputs:
    """What a checkpoint makes of a case; kinds share what was computed for another."""

    model: PdsModel
    case: Case

    @cached_property
    def batch(self) -> Batch:
        """The case on the model's device."""
        return self.case.batch.to(self.model.templates.device)

    @cached_property
    def point(self) -> tuple[Tensor, Tensor, Tensor]:
        """Point estimate of the denoiser, refined estimate, and its calibrated standard deviation."""
        from pds_bids.training.finish import predict

        return predict(self.model, self.batch)

    @cached_property
    def samples(self) -> Array:
        """(K, X, Y, Z) draws of the diffusion model in relative units."""
        import torch

        from pds_bids.models.denoiser import draw

        bands, batch = self.model.subbands.split(self.batch.images), self.batch
        noise = torch.randn((N_DRAWS, *bands.shape), generator=torch.Generator().manual_seed(self.case.seed))
        with torch.inference_mode():
            context = self.model.context(batch.t1w, batch.has_t1w)
            drawn = draw(self.model.denoiser, bands, batch.target, context, noise.to(bands.device), STEPS)
            return relative(self.model.subbands.merge_one(drawn[:, 0], batch.target)[:, 0])


def estimate(outputs: Outputs) -> Prediction:
    """The denoiser's estimate in one step: a regression."""
    return Prediction(relative(outputs.point[0][0, 0]))


def draw(outputs: Outputs) -> Prediction:
    """One sample of the diffusion model."""
    return Prediction(outputs.samples[0])


def draws(outputs: Outputs) -> Prediction:
    """The mean of K samples; the truth is as far from it as one more sample: sd sqrt(1 + 1/K)."""
    sd = outputs.samples.std(axis=0, ddof=1) * (1 + 1 / N_DRAWS) ** 0.5
    return Prediction(outputs.samples.mean(axis=0), sd)


def refined(outputs: Outputs) -> Prediction:
    """The refined one-step estimate with its calibrated uncertainty: what the app writes."""
    _, image, sd = outputs.point
    return Prediction(relative(image[0, 0]), sd[0, 0].cpu().numpy())


def without_t1w(outputs: Outputs) -> Prediction:
    """The refined estimate of a subject who has no T1w."""
    batch = outputs.case.batch
    blind = batch._replace(has_t1w=batch.has_t1w & False)
    return refined(replace(outputs, case=replace(outputs.case, batch=blind)))


KINDS: dict[str, Callable[[Outputs], Prediction]] = {
    "estimate": estimate,
    "draw": draw,
    "draws": draws,
    "no-t1w": without_t1w,
    "refined": refined,
}
"""What of a checkpoint can be scored."""

MAIN = "PDM + TR + MR"

MAIN_ROWS = {
    "PDM, 1 step": "estimate",
    f"PDM, {STEPS} steps, K = 1": "draw",
    f"PDM, {STEPS} steps, K = {N_DRAWS}": "draws",
    f"{MAIN}, no T1w": "no-t1w",
    MAIN: "refined",
}
"""Rows of the main checkpoint, and the kind of each."""


def network(model: PdsModel, rows: dict[str, str]) -> Contestant:
    """A checkpoint, scored by one or more kinds.

    Parameters
    ----------
    rows
        Name of the row -> one of `KINDS`.
    """

    def predictions(case: Case) -> dict[str, Prediction]:
        outputs = Outputs(model, case)
        return {row: KINDS[kind](outputs) for row, kind in rows.items()}

    return predictions
