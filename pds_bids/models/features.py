"""Feature extractors for the microstructure loss: images in, feature maps out, nothing learnt here.

The default is a fixed bank of Gabor filters, which needs no weights. VGG16 is an option for those who have
its weights; it is built here layer by layer, and its weights are read from a file and never downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pds_bids.core.errors import UsageError

WAVELENGTH = 4.0
"""Voxels; of the finest level, an octave below the finest that a grid can hold."""

RADIUS = 3
"""Voxels; of the filters."""

N_LEVELS = 3
"""Wavelengths of 4, 8 and 16 voxels: 8 to 32 mm, from a gyrus' rim to a deep nucleus."""

NOISE_FLOOR = 0.05
"""Contrast, in units where the brain's median is 1, below which a response hardly counts."""


class FeatureExtractor(Protocol):
    """Anything that maps images to feature maps: the fixed banks below, or a network."""

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """(B, 1, H, W) in [-1, 1] to maps (B, C, H', W'), each at a resolution of its own."""
        ...


def directions(dims: int) -> Tensor:
    """Evenly spread unit vectors, one of each opposite pair: (4, 2), or (6, 3) of an icosahedron.

    Six is the fewest that cover all orientations of space evenly (Knutsson 1989).
    """
    if dims == 2:
        angle = torch.arange(4) * (math.pi / 4)
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    golden = (1 + 5**0.5) / 2
    pairs = torch.tensor([[1.0, golden], [-1.0, golden]])
    corners = [F.pad(pairs, (1, 0)).roll(shift, dims=1) for shift in range(3)]
    return F.normalize(torch.cat(corners), dim=1)


def quadrature_pairs(dims: int, wavelength: float, radius: int) -> Tensor:
    """Even and odd Gabor filters of every direction in turn, (2 K, 1, n, ...) with n = 2 radius + 1.

    Zero-mean, and of unit gain: a grating of the filters' own wavelength and direction and of amplitude a, at
    whatever phase, has the magnitude a. The Gaussian's sd is half a wavelength: a bandwidth of 1.1 octaves.
    """
    axes = [torch.arange(-radius, radius + 1.0)] * dims
    position = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    envelope = torch.exp(-position.square().sum(0) / (2 * (wavelength / 2) ** 2))
    filters = []
    for direction in directions(dims):
        phase = torch.tensordot(direction, position, 1) * (2 * math.pi / wavelength)
        for wave in (phase.cos(), phase.sin()):
            kernel = envelope * (wave - (envelope * wave).sum() / envelope.sum())
            filters.append(kernel / (kernel * wave).sum())
    return torch.stack(filters)[:, None]


def convolve(x_B1: Tensor, kernels_K1: Tensor) -> Tensor:
    """Correlation with zeros outside: (B, 1, H, W) to (B, K, H, W), or the same with three spatial axes."""
    if x_B1.ndim == 4:
        return F.conv2d(x_B1, kernels_K1, padding="same")
    # The planes that a filter spans become channels of a 2D convolution: on a CPU four times faster to
    # differentiate than a 3D one of a single channel.
    n = kernels_K1.shape[2]
    planes = F.pad(x_B1[:, 0], (0, 0, 0, 0, n // 2, n // 2)).unfold(1, n, 1).movedim(-1, 2)
    flat = F.conv2d(planes.flatten(0, 1), kernels_K1[:, 0], padding="same")
    return flat.unflatten(0, planes.shape[:2]).transpose(1, 2)


class GaborBank(nn.Module):
    """Magnitudes of quadrature pairs of Gabor filters, an octave a level (Daugman 1985).

    A magnitude says how much contrast there is at a place, size and direction, and not where exactly its
    edges lie. So a blurred image, which lost contrast, is far from the sharp one, and an image a fraction of
    a voxel off is near. Magnitudes below `NOISE_FLOOR` are flattened, which also makes them smooth at 0.

    Parameters
    ----------
    dims
        2 for images, 3 for volumes.
    """

    kernels: Tensor

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        self.dims = dims
        self.register_buffer("kernels", quadrature_pairs(dims, WAVELENGTH, RADIUS), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) to `N_LEVELS` maps (B, 4, ...), or (B, 1, X, Y, Z) to maps (B, 6, ...).

        Each map has half the resolution of the one before; a small image has fewer.
        """
        pool = F.avg_pool2d if self.dims == 2 else F.avg_pool3d
        maps = []
        # In full precision: the eight bits of bfloat16 are coarser than the contrasts that are compared.
        with torch.autocast(images.device.type, enabled=False):
            level = images.float()
            for _ in range(N_LEVELS):
                energy = convolve(level, self.kernels).unflatten(1, (-1, 2)).square().sum(2)
                maps.append((energy + NOISE_FLOOR**2).sqrt() - NOISE_FLOOR)
                if min(level.shape[2:]) < 2:
                    break
                level = pool(level, 2)
        return maps


VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the thirteen convolutions of VGG16 (Simonyan & Zisserman 2015, configuration D)."""

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg16Features(nn.Module):
    """The convolutions of VGG16, read after the last rectifier of each of the five blocks.

    Layers are named as torchvision names them (`features.0.weight`, ...), fixed, and without the fully
    connected ones, which would tie it to one image size. Images need 16 pixels a side.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        c_in = 3
        for block in VGG_BLOCKS:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for c_out in block:
                layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU()]
                c_in = c_out
            self.taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        for name, values in (("mean", IMAGENET_MEAN), ("sd", IMAGENET_SD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) in [-1, 1] to five maps of 64, 128, 256, 512 and 512 channels, each half as large."""
        x = ((images + 1) / 2 - self.mean) / self.sd  # one channel becomes three by broadcasting
        maps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                maps.append(x)
        return maps


def load_vgg16(path: Path) -> Vgg16Features:
    """VGG16 with the weights of a safetensors file under torchvision's names; others in it are ignored.

    Raises
    ------
    UsageError
        If the file is missing, no safetensors file, or not of VGG16.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = Vgg16Features()
    try:
        stored = load_file(path)
        network.load_state_dict({name: stored[name].float() for name in network.state_dict()})
    except KeyError as error:
        fault = f"no tensor {error}"
    except (SafetensorError, RuntimeError, OSError) as error:
        fault = str(error).replace("\n", " ")
    else:
        return network
    raise UsageError(
        f"{path}: not the weights of VGG16 ({fault}); save torchvision's vgg16 state_dict as safetensors"
    )
