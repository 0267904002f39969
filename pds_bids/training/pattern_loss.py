"""The pattern-aware loss: errors weigh more where disease shows and where the modalities agree.

    L_PA = sum_v w |x0_hat - x0| / sum_v w  +  c sum_r w_r |mean over ROI r of (x0_hat - x0)| / sum_r w_r

of each sample, with w = 1 + 2 |d_r| + |rho_r| in ROI r and 1 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pds_bids.core.errors import UsageError
from pds_bids.core.volume import MODEL_GRID, Grid
from pds_bids.models.losses import mean_by_sample, voxel_weight
from pds_bids.models.pattern import PatternValues
from pds_bids.training.pattern import D_LIMIT, RHO_LIMIT

Mode = Literal["off", "learned", "mask", "shuffled", "shifted", "random", "inverted"]

SHIFT_MM = 20.0
"""How far `shifted` moves the ROIs: two of their diameters."""


@dataclass(frozen=True)
class PatternConfig:
    """The `[pattern]` table of a preset.

    Attributes
    ----------
    mode
        `off`: no such loss. `learned`: as estimated. `mask`: 1 in ROIs, 0 elsewhere, as in the published
        code. To see whether the pattern matters, with everything else as in `learned`: `shuffled` exchanges
        the values of ROIs, `shifted` moves all ROIs by `SHIFT_MM` in one direction, `random` draws normal
        values of the same mean square, `inverted` makes the strong weak and the weak strong.
    weight
        Of L_PA in the loss of the denoiser.
    roi_weight
        c above.
    n_pairs
        At most so many training pairs are looked at.

    Raises
    ------
    UsageError
        If there is no such mode.
    """

    mode: Mode = "off"
    weight: float = 0.5
    roi_weight: float = 0.1
    n_pairs: int = 600

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            raise UsageError(f"[pattern] mode = {self.mode!r} is not known; choose one of {known}")


def perturbed(values: PatternValues, mode: Mode, random: np.random.Generator) -> PatternValues:
    """What a mode makes of learned values; `learned` and `mask` leave them as they are."""
    if mode == "shuffled":
        order = random.permutation(len(values.atlas))
        return replace(values, d_MR=values.d_MR[:, order], rho_R=values.rho_R[order])
    if mode == "shifted":
        direction = random.standard_normal(3)
        return replace(values, atlas=values.atlas.moved(SHIFT_MM * direction / np.linalg.norm(direction)))
    if mode == "random":
        d, rho = (
            random.standard_normal(v.shape) * np.sqrt(np.square(v).mean(axis=-1, keepdims=True))
            for v in (values.d_MR, values.rho_R)
        )
        return replace(values, d_MR=d.clip(-D_LIMIT, D_LIMIT), rho_R=rho.clip(-RHO_LIMIT, RHO_LIMIT))
    if mode == "inverted":
        return replace(values, d_MR=_inverted(values.d_MR), rho_R=_inverted(values.rho_R))
    return values


def _inverted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.abs(values)
    mirrored: NDArray[np.float64] = size.max(axis=-1, keepdims=True) + size.min(axis=-1, keepdims=True) - size
    return mirrored


class _Painted(NamedTuple):
    weight_MXYZ: Tensor
    voxels_V: Tensor  # flat positions of the voxels that lie in ROIs
    roi_V: Tensor  # the ROI of each


class PatternLoss:
    """L_PA of image errors at any resolution; painted on a grid when first asked for it.

    Parameters
    ----------
    values
        From training subjects.
    config
        Mode (not `off`) and weights.
    random
        For the modes that draw.
    """

    def __init__(self, values: PatternValues, config: PatternConfig, random: np.random.Generator) -> None:
        self.config = config
        self.values = perturbed(values, config.mode, random)
        if config.mode == "mask":
            self.weights_MR, self.background = np.ones_like(self.values.d_MR), 0.0
        else:
            self.weights_MR = 1 + 2 * np.abs(self.values.d_MR) + np.abs(self.values.rho_R)
            self.background = 1.0
        self._painted: dict[tuple[tuple[int, ...], torch.device], _Painted] = {}

    def __call__(
        self, error_BMXYZ: Tensor, mask_B1XYZ: Tensor, noisy_BM: Tensor, flipped_B: Tensor
    ) -> Tensor:
        """The loss, without its weight.

        Parameters
        ----------
        error_BMXYZ
            x0_hat - x0 as images that fill the field of `MODEL_GRID`.
        mask_B1XYZ
            Brain, 1 or 0.
        noisy_BM
            1 for the modalities that were noised, 0 for clean sources.
        flipped_B
            Whether left and right were exchanged: the ROIs were not.
        """
        painted = self._on(tuple(error_BMXYZ.shape[2:]), error_BMXYZ.device)
        flipped = flipped_B[:, None, None, None, None]
        error = torch.where(flipped, error_BMXYZ.flip(2), error_BMXYZ).float()
        mask = torch.where(flipped, mask_B1XYZ.flip(2), mask_B1XYZ)
        seen = voxel_weight(mask) * noisy_BM[:, :, None, None, None]
        by_voxel = mean_by_sample(error.abs(), painted.weight_MXYZ * seen)

        inside = mask.flatten(2)[..., painted.voxels_V]
        wrong = error.flatten(2)[..., painted.voxels_V] * inside
        n = len(self.values.atlas)
        count = inside.new_zeros(*inside.shape[:2], n).index_add(2, painted.roi_V, inside)
        total = wrong.new_zeros(*wrong.shape[:2], n).index_add(2, painted.roi_V, wrong)
        weights = torch.from_numpy(self.weights_MR).to(error) * noisy_BM[:, :, None] * (count > 0)
        by_roi = mean_by_sample((total / count.clamp(min=1)).abs(), weights)
        return by_voxel + self.config.roi_weight * by_roi

    def _on(self, shape: tuple[int, ...], device: torch.device) -> _Painted:
        if (shape, device) not in self._painted:
            labels = self.values.atlas.labels(_filling(shape))
            background = np.full((len(self.weights_MR), 1), self.background)
            weight = np.concatenate([background, self.weights_MR], axis=1)[:, labels]
            voxels = np.flatnonzero(labels)
            tensors = (weight.astype(np.float32), voxels, labels.ravel()[voxels] - 1)
            self._painted[shape, device] = _Painted(*(torch.from_numpy(t).to(device) for t in tensors))
        return self._painted[shape, device]


def _filling(shape: tuple[int, ...]) -> Grid:
    """The field of `MODEL_GRID` cut into so many voxels."""
    x, y, z = shape
    ratio = np.array(MODEL_GRID.shape) / shape
    cut = np.diag([*ratio, 1.0])
    cut[:3, 3] = (ratio - 1) / 2
    return Grid((x, y, z), MODEL_GRID.affine @ cut)
