"""Pairs for training: a bank on disk, and batches as the networks want them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID

N = len(Modality)

GROUPS = ("nc", "mci", "ad")
"""Diagnoses by the number that stands for them."""


class Covariate(enum.IntEnum):
    """Columns of what is known of a person."""

    GROUP = 0  # position in `GROUPS`
    AGE = 1  # years
    SEX = 2  # 0 F, 1 M
    SITE = 3  # any number


UNKNOWN_PERSON = np.full(len(Covariate), np.nan, np.float32)
"""Covariates of somebody of whom nothing is known."""

UNKNOWN_PERSON.flags.writeable = False

T1W_DROPPED = 0.5
"""Share of the augmented rows that lose their T1w: the networks have to work without one."""


class Batch(NamedTuple):
    """Pairs in model units. The source's mask covers both volumes; air is -1.

    Where the target's field of view ends inside the source's brain, nobody knows what is to be found. What is
    evaluated is shown its whole source all the same, as in use; what is augmented, to train, nothing there.
    """

    images: Tensor  # (B, M, X, Y, Z) in [-1, 1]
    mask: Tensor  # (B, 1, X, Y, Z) float
    tissue: Tensor  # (B, 4, X/2, Y/2, Z/2) fractions of GM, WM, CSF, other
    t1w: Tensor  # (B, 1, X, Y, Z) in [-1, 1]; air where there is none
    target: Tensor  # (B,) index of the target in `Modality`
    flipped: Tensor  # (B,) bool: left and right were exchanged
    has_t1w: Tensor  # (B,) bool: whether `t1w` holds anything
    known: Tensor  # (B, 1, X, Y, Z) float: where in the mask the target is known

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(*(t.to(device) for t in self))


class Sample(NamedTuple):
    """One pair as the bank stores it."""

    images: NDArray[
        np.float16
    ]  # (2, M, X, Y, Z) as source and as target; arbitrary positive units, NaN if unknown
    masks: NDArray[np.bool_]  # (M, X, Y, Z) brain mask derived from each modality
    tissue: NDArray[np.uint8]  # (4, X/2, Y/2, Z/2) fractions times 255
    t1w: NDArray[np.float16]  # (X, Y, Z) arbitrary positive units; zeros where there is none
    covariates: NDArray[np.float32] = UNKNOWN_PERSON  # (4,) by `Covariate`, NaN if unknown; never an input


@dataclass(frozen=True)
class PairBank:
    """Pairs in memory-mapped arrays, one row a pair.

    Attributes
    ----------
    samples
        Arrays shaped as in `Sample` with a leading axis of pairs.
    anatomy
        (n,) index of the anatomy each pair was made from.
    """

    samples: Sample
    anatomy: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.anatomy)

    @classmethod
    def create(cls, folder: Path, n: int) -> PairBank:
        """Empty arrays on disk for `n` pairs, to be filled in place by any process."""
        folder.mkdir(parents=True, exist_ok=True)
        half = tuple(s // 2 for s in MODEL_GRID.shape)
        shapes = {
            "images": ((2, N, *MODEL_GRID.shape), np.float16),
            "masks": ((N, *MODEL_GRID.shape), np.bool_),
            "tissue": ((4, *half), np.uint8),
            "t1w": (MODEL_GRID.shape, np.float16),
            "covariates": ((len(Covariate),), np.float32),
            "anatomy": ((), np.int64),
        }
        for name, (shape, dtype) in shapes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (n, *shape)).flush()
        return cls.load(folder, "r+")

    @classmethod
    def load(cls, folder: Path, mode: Literal["r", "r+"] = "r") -> PairBank:
        """Open the arrays that `create` made; `r+` to fill them."""
        arrays = {p.stem: np.load(p, mmap_mode=mode) for p in folder.glob("*.npy")}
        return cls(Sample(*(arrays[name] for name in Sample._fields)), arrays["anatomy"])

    def put(self, row: int, sample: Sample, anatomy: int) -> None:
        """Store one pair."""
        arrays: tuple[NDArray[Any], ...] = self.samples
        for stored, value in zip(arrays, sample, strict=True):
            stored[row] = value
        self.anatomy[row] = anatomy

    def get(self, rows: list[int]) -> Sample:
        """Read rows into memory."""
        return _rows(self.samples, rows)


def _rows(samples: Sample, rows: int | list[int]) -> Sample:
    """One row, or several, in memory."""
    arrays: tuple[NDArray[Any], ...] = samples
    return Sample(*(np.array(array[rows]) for array in arrays))


class Pairs(Protocol):
    """Where training takes its pairs from: a `PairBank`, or anything else that numbers them."""

    def __len__(self) -> int: ...

    def get(self, rows: list[int]) -> Sample:
        """Rows as arrays; the same row is the same pair whenever it is asked for."""
        ...


def masked_median(image: Tensor, mask: Tensor) -> Tensor:
    """Median of (X, Y, Z) values where the mask is true; one where the mask is empty."""
    inside = image[mask.bool()]
    return inside.median().clamp(min=1e-6) if inside.numel() else image.new_ones(())


def model_units(image: Tensor, mask: Tensor) -> Tensor:
    """Divide by the median in the mask, clip at 2, map [0, 2] to [-1, 1]; air is -1. All (X, Y, Z)."""
    return (image / masked_median(image, mask)).clamp(0, 2) * mask - 1


def _disturb(image: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, bias field and noise on a source: what the target does not share."""
    gamma, bias_sd, noise_sd = (torch.rand(3, generator=generator) * torch.tensor([0.4, 0.15, 0.03])).tolist()
    reference = image.mean() * 3 + 1e-6  # about the brain's mean: it fills a third of the grid
    image = (image / reference).clamp(min=0) ** (0.8 + gamma)
    coarse = torch.randn((1, 1, 4, 4, 4), generator=generator) * bias_sd
    field = F.interpolate(coarse, size=tuple(image.shape), mode="trilinear", align_corners=True)[0, 0]
    return image * field.exp() + noise_sd * torch.randn(image.shape, generator=generator) * (image > 0)


def make_batch(sample: Sample, targets: Sequence[int], generators: Sequence[torch.Generator] | None) -> Batch:
    """Scale, mask and (with generators) augment.

    Parameters
    ----------
    sample
        Rows of a bank.
    targets
        Index in `Modality` of the volume to be synthesised, a row each.
    generators
        One each; None for evaluation: nothing random happens.
    """
    rows = [
        _row(_rows(sample, row), target, generators[row] if generators else None)
        for row, target in enumerate(targets)
    ]
    return Batch(*(torch.stack(tensors) for tensors in zip(*rows, strict=True)))


def _row(sample: Sample, target: int, generator: torch.Generator | None) -> Batch:
    """A batch without its first axis."""
    inside = sample.masks[1 - target]
    known = torch.from_numpy(inside & np.isfinite(sample.images[1, target])).float()
    mask = torch.from_numpy(inside).float() if generator is None else known

    def scaled(image: NDArray[np.float16], *, is_target: bool = False) -> Tensor:
        values = torch.from_numpy(image).float()
        if is_target:
            return model_units(values.nan_to_num(), known)
        return model_units(values if generator is None else _disturb(values, generator), mask)

    images = [scaled(sample.images[int(m == target), m], is_target=m == target) for m in range(N)]
    has_t1w = bool(sample.t1w.any()) and not _happens(T1W_DROPPED, generator)
    t1w = scaled(sample.t1w) if has_t1w else torch.full_like(mask, -1.0)
    tissue = torch.from_numpy(sample.tissue).float() / 255
    volumes = torch.stack(images), mask[None], tissue, t1w[None], known[None]
    flip = _happens(0.5, generator)
    image, brain, fractions, context, where = (v.flip(1) if flip else v for v in volumes)
    direction, flipped, has = (torch.tensor(value) for value in (target, flip, has_t1w))
    return Batch(image, brain, fractions, context, direction, flipped, has, where)


def _happens(probability: float, generator: torch.Generator | None) -> bool:
    """A random event; never without a generator."""
    return generator is not None and bool(torch.rand((), generator=generator) < probability)


def halved(batch: Batch) -> Batch:
    """The same batch at 4 mm, for the warm start."""
    images, mask, tissue, t1w = (F.avg_pool3d(volume, 2) for volume in batch[:4])
    known = F.avg_pool3d(batch.known, 2).round()
    return batch._replace(images=images, mask=mask.round(), tissue=tissue, t1w=t1w, known=known)
