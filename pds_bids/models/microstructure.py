"""The microstructure loss: how far the features of a refined volume are from those of the true one.

The published refiner compares VGG features of full-depth mean projections. A mean over the whole brain
hides whatever alternates along the line of sight, so here slabs of random thickness are projected; `mean` is
kept as an ablation, and `native3d` compares volumes without any projection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pds_bids.core.errors import UsageError
from pds_bids.models.features import FeatureExtractor, GaborBank, load_vgg16
from pds_bids.models.losses import weighted_mean
from pds_bids.models.refine import TissueRefiner

Projection = Literal["off", "mean", "slabs", "native3d"]

THICKNESSES = (1, 3, 9, None)
"""Voxels; None is the full depth."""

SLABS_PER_AXIS = 4

FAINT = 0.01
"""Mean response below which a map is too faint to be divided by: there is next to no brain in the slabs."""


@dataclass(frozen=True)
class MrConfig:
    """The microstructure loss.

    Attributes
    ----------
    projection
        `slabs` of random thickness, `mean` over the full depth, `native3d` (volumes), or `off`.
    features
        `gabor`, or a safetensors file with the weights of VGG16.
    weight
        What the distance is multiplied by; the objective counts an error of one voxel's intensity once.
    """

    projection: Projection = "off"
    features: str = "gabor"
    weight: float = 0.1

    def __post_init__(self) -> None:
        if self.projection not in get_args(Projection):
            known = ", ".join(get_args(Projection))
            raise UsageError(f"mr.projection: there is no {self.projection!r}; choose from {known}")
        if self.projection == "native3d" and self.features != "gabor":
            raise UsageError(f"mr.features: {self.features} sees images only; use gabor with native3d")


class Slab(NamedTuple):
    """Voxels `start` to `start + thickness` along spatial axis `axis` (0, 1 or 2)."""

    axis: int
    start: int
    thickness: int

    def in_blocks(self) -> Slab:
        """The same at half the resolution: every 2 x 2 x 2 block that it touches."""
        first, end = self.start // 2, -(-(self.start + self.thickness) // 2)
        return Slab(self.axis, first, end - first)


def full_depth(shape: Sequence[int]) -> list[Slab]:
    """One slab an axis, as thick as a volume of (X, Y, Z) voxels."""
    return [Slab(axis, 0, depth) for axis, depth in enumerate(shape)]


def draw_slabs(shape: Sequence[int], generator: torch.Generator) -> list[Slab]:
    """`SLABS_PER_AXIS` slabs an axis of a volume of (X, Y, Z) voxels, of random thickness and place."""
    slabs = []
    for axis, depth in enumerate(shape):
        for choice in torch.randint(len(THICKNESSES), (SLABS_PER_AXIS,), generator=generator).tolist():
            thickness = min(THICKNESSES[choice] or depth, depth)
            start = int(torch.randint(depth - thickness + 1, (), generator=generator))
            slabs.append(Slab(axis, start, thickness))
    return slabs


def project(volume_BCXYZ: Tensor, mask_B1XYZ: Tensor, slab: Slab) -> tuple[Tensor, Tensor]:
    """Mean over the brain voxels of a slab, along its axis.

    Parameters
    ----------
    volume_BCXYZ
        Model units, in which 0 is the brain's median.
    mask_B1XYZ
        One in the brain, zero elsewhere; or the brain's share of each voxel.

    Returns
    -------
    image_BCHW
        0 where the slab holds no brain.
    share_B1HW
        The brain's share of the slab, in [0, 1].
    """
    dim = slab.axis + 2
    mask = mask_B1XYZ.narrow(dim, slab.start, slab.thickness)
    brain = mask.sum(dim)
    total = (volume_BCXYZ.narrow(dim, slab.start, slab.thickness) * mask).sum(dim)
    return total / brain.clamp(min=1e-3), brain / slab.thickness


def views(
    volumes: Sequence[Tensor], mask_B1XYZ: Tensor, slabs: Sequence[Slab]
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """For each axis, the projections of every volume (n B, C, H, W) and the brain's share (n B, 1, H, W)."""
    for axis in sorted({slab.axis for slab in slabs}):
        along = [slab for slab in slabs if slab.axis == axis]
        shares = torch.cat([project(mask_B1XYZ, mask_B1XYZ, slab)[1] for slab in along])
        yield [torch.cat([project(v, mask_B1XYZ, slab)[0] for slab in along]) for v in volumes], shares


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """While it lasts, gradients pass through a network and none reaches its parameters."""
    learning = [p for p in network.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def seen_tissues(
    refiner: TissueRefiner, bands_BKXYZ: Tensor, true_BKXYZ: Tensor, modality_B: Tensor
) -> tuple[Tensor, Tensor]:
    """(B, 4, X, Y, Z) tissue probabilities in refined and true sub-bands, by the projector as it stands.

    It is held fixed: else it would learn to see no difference.
    """
    with frozen(refiner):
        found = refiner.tissues(bands_BKXYZ, modality_B).float().softmax(1)
        with torch.no_grad():
            return found, refiner.tissues(true_BKXYZ, modality_B).float().softmax(1)


def feature_distance(maps: Sequence[Tensor], true_maps: Sequence[Tensor], share: Tensor) -> Tensor:
    """Mean over maps of sum(w |f - f_true|) / sum(w |f_true|).

    Relative, because the taps of a network differ by orders of magnitude: the weight of the loss then means
    the same whatever the features are.

    Parameters
    ----------
    maps, true_maps
        (B, C, ...) each, with two or three spatial axes.
    share
        (B, 1, ...) the brain's share of each pixel or voxel: w, once resized.
    """
    distances = []
    for found, true in zip(maps, true_maps, strict=True):
        weight = F.interpolate(share, found.shape[2:], mode="area")
        size = weighted_mean(true.float().abs(), weight).clamp(min=FAINT)
        distances.append(weighted_mean((found.float() - true.float()).abs(), weight) / size)
    return torch.stack(distances).mean()


class MicrostructureLoss(nn.Module):
    """Perceptual distance between volumes, weighted as `config` says.

    Two kinds of features count alike: those of `extractor`, and the tissues that the refiner's own projector
    sees, which know the domain. The projector needs volumes, so what it sees is projected, and not the other
    way round; thus `config.projection` alone decides what an ablation looks at. Tissues are compared as
    probabilities: bounded, whatever the projector learns, and so not divided by anything.
    """

    def __init__(self, config: MrConfig, extractor: FeatureExtractor) -> None:
        super().__init__()
        self.config, self.extractor = config, extractor

    def forward(
        self,
        images: tuple[Tensor, Tensor],
        tissues: tuple[Tensor, Tensor],
        mask_B1XYZ: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Distance of the first of each pair from the second, the true one.

        Parameters
        ----------
        images
            (B, 1, X, Y, Z) in model units.
        tissues
            (B, 4, X/2, Y/2, Z/2) probabilities.
        mask_B1XYZ
            One in the brain; nothing else is looked at.
        generator
            On the CPU; draws the slabs, and is not touched by the other projections.
        """
        blocks = F.avg_pool3d(mask_B1XYZ, 2)
        if self.config.projection == "native3d":
            pairs = [([image * mask_B1XYZ for image in images], mask_B1XYZ)]
            tissue_pairs = [(list(tissues), blocks)]
        else:
            slabs = self._slabs(mask_B1XYZ.shape[2:], generator)
            pairs = list(views(images, mask_B1XYZ, slabs))
            tissue_pairs = list(views(tissues, blocks, [slab.in_blocks() for slab in slabs]))
        distances = [self._distance(pair, share) for pair, share in pairs]
        distances += [weighted_mean((found - true).abs(), share) for (found, true), share in tissue_pairs]
        return self.config.weight * torch.stack(distances).mean()

    def _slabs(self, shape: Sequence[int], generator: torch.Generator) -> list[Slab]:
        return draw_slabs(shape, generator) if self.config.projection == "slabs" else full_depth(shape)

    def _distance(self, images: Sequence[Tensor], share: Tensor) -> Tensor:
        image, true = images
        with torch.no_grad():
            true_maps = self.extractor(true)
        return feature_distance(self.extractor(image), true_maps, share)


def load_microstructure(config: MrConfig) -> MicrostructureLoss | None:
    """The loss that `config` describes, with the weights its features need; None where it is off.

    Raises
    ------
    UsageError
        If the file with the weights is not one of VGG16.
    """
    if config.projection == "off":
        return None
    if config.features == "gabor":
        return MicrostructureLoss(config, GaborBank(3 if config.projection == "native3d" else 2))
    return MicrostructureLoss(config, load_vgg16(Path(config.features)))
