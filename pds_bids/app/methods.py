"""The methods that `pds-model evaluate` compares: what each makes of one subject in one direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from pds_bids.models.pdsmodel import PdsModel
    from pds_bids.training.data import Batch, Pairs

Array = NDArray[np.floating]


class Sampling(NamedTuple):
    """How many draws of the diffusion there are, and in how many steps each is sampled."""

    draws: int = 4
    steps: int = 8
    sampler: Sampler = Sampler.DDIM


SAMPLING = Sampling()


class Prediction(NamedTuple):
    """A volume in relative units, (X, Y, Z) in [0, 2], the standard deviation of its error if known, and the
    (K, X, Y, Z) draws that it is the mean of if there are several.
    """

    volume: Array
    sd: Array | None = None
    samples: Array | None = None


@dataclass(frozen=True)
class Case:
    """One subject in one direction.

    Attributes
    ----------
    batch
        Of one pair.
    seed
        Of whatever is drawn for it.
    person
        (4,) covariates by `Covariate`; None where nothing is known. No network is told.
    """

    batch: Batch
    seed: int
    person: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, pairs: Pairs, row: int, target: int, seed: int = 0) -> Case:
        """One pair, as a network in use would see it: nothing about it is random."""
        from pds_bids.training.data import Covariate, make_batch

        sample = pairs.get([row])
        person = np.asarray(sample.covariates, np.float32).reshape(-1, len(Covariate))[0]
        return cls(make_batch(sample, [target], None), seed, person)

    @property
    def target(self) -> int:
        """Position of the target in `Modality`."""
        return int(self.batch.target[0])

    @property
    def group(self) -> str:
        """Diagnosis, or `unknown`."""
        from pds_bids.training.data import GROUPS, Covariate

        group = np.nan if self.person is None else self.person[Covariate.GROUP]
        return "unknown" if np.isnan(group) else GROUPS[int(group)]

    @property
    def age_and_sex(self) -> Array:
        """(2,) years, and 0 for F or 1 for M; NaN where unknown."""
        from pds_bids.training.data import Covariate

        if self.person is None:
            return np.full(2, np.nan)
        known: Array = self.person[[Covariate.AGE, Covariate.SEX]].astype(float)
        return known

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


@dataclass(frozen=True)
class Outputs:
    """What a checkpoint makes of a case; kinds share what was computed for another."""

    model: PdsModel
    case: Case
    sampling: Sampling = SAMPLING

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

        batch, (n, steps, sampler) = self.batch, self.sampling
        bands = self.model.subbands.split(batch.images)
        noise = torch.randn((n, *bands.shape), generator=torch.Generator().manual_seed(self.case.seed))
        with torch.inference_mode():
            context = self.model.context(batch.t1w, batch.has_t1w)
            drawn = draw(
                self.model.denoiser, bands, batch.target, context, noise.to(bands.device), steps, sampler
            )
            return relative(self.model.subbands.merge_one(drawn[:, 0], batch.target)[:, 0])


def estimate(outputs: Outputs) -> Prediction:
    """The denoiser's estimate in one step: a regression."""
    return Prediction(relative(outputs.point[0][0, 0]))


def draw(outputs: Outputs) -> Prediction:
    """One sample of the diffusion model."""
    return Prediction(outputs.samples[0])


def draws(outputs: Outputs) -> Prediction:
    """The mean of K samples; the truth is as far from it as one more sample: sd sqrt(1 + 1/K)."""
    samples = outputs.samples
    sd = samples.std(axis=0, ddof=1) * (1 + 1 / len(samples)) ** 0.5
    return Prediction(samples.mean(axis=0), sd, samples)


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
    f"PDM, {SAMPLING.steps} steps, K = 1": "draw",
    f"PDM, {SAMPLING.steps} steps, K = {SAMPLING.draws}": "draws",
    f"{MAIN}, no T1w": "no-t1w",
    MAIN: "refined",
}
"""Rows of the main checkpoint, and the kind of each."""


def network(model: PdsModel, rows: dict[str, str], sampling: Sampling = SAMPLING) -> Contestant:
    """A checkpoint, scored by one or more kinds.

    Parameters
    ----------
    rows
        Name of the row -> one of `KINDS`.
    sampling
        Of the draws.
    """

    def predictions(case: Case) -> dict[str, Prediction]:
        outputs = Outputs(model, case, sampling)
        return {row: KINDS[kind](outputs) for row, kind in rows.items()}

    return predictions
