"""What goes wrong in a scan or in its reconstruction, each with some probability: for sources only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.protocol import Uniform, uniform

VOXEL_MM = 2.0


def spoiled(image: Tensor, generator: torch.Generator) -> Tensor:
    """(X, Y, Z) as a site may have delivered it: each artefact with its probability."""

    def u(low: float, high: float) -> float:
        return uniform(generator, low, high)

    for probability, artefact in ARTEFACTS:
        if u(0, 1) < probability:
            image = artefact(image, u, generator)
    return image.clamp(min=0)


def ringing(image: Tensor, u: Uniform, generator: torch.Generator) -> Tensor:
    """Gibbs: k-space ends abruptly along the in-plane axes, more or less windowed."""
    strength, limit = u(0.3, 1.0), 0.5 / u(2.6, 4.0)
    spectrum = torch.fft.fftn(image, dim=(0, 1))
    for axis in (0, 1):
        frequency = torch.fft.fftfreq(image.shape[axis], VOXEL_MM, device=image.device).abs()
        shape = [1, 1, 1]
        shape[axis] = -1
        spectrum = spectrum * (frequency <= limit).view(shape)
    return torch.lerp(image, torch.fft.ifftn(spectrum, dim=(0, 1)).real, strength)


def ghost(image: Tensor, u: Uniform, generator: torch.Generator) -> Tensor:
    """N/2: odd and even lines of k-space disagree, and a faint copy appears half a field of view away."""
    return image + u(0.01, 0.06) * image.roll(round(u(90, 120) / VOXEL_MM), 1)


def uneven_slices(image: Tensor, u: Uniform, generator: torch.Generator) -> Tensor:
    """Slices of random thickness differ in brightness, all at random or odd from even."""
    position = torch.arange(image.shape[2], device=image.device) * VOXEL_MM / u(2.0, 6.0)
    number = position.floor().long()
    gains = torch.randn(int(number[-1]) + 1, generator=generator, device=image.device)
    if u(0, 1) < 0.3:
        gains = 1.0 - 2.0 * (torch.arange(len(gains), device=image.device) % 2)
    return image * torch.exp(u(0.005, 0.035) * gains)[number]


def lost_slices(image: Tensor, u: Uniform, generator: torch.Generator) -> Tensor:
    """A few neighbouring slices without signal."""
    start, count = round(u(5, MODEL_GRID.shape[2] - 8)), round(u(1, 3))
    image = image.clone()
    image[..., start : start + count] = 0
    return image


def clipped(image: Tensor, u: Uniform, generator: torch.Generator) -> Tensor:
    """Brightest values saturate."""
    return image.clamp(max=float(image[image > image.mean()].median()) * u(1.05, 1.6))


ARTEFACTS: tuple[tuple[float, Callable[[Tensor, Uniform, torch.Generator], Tensor]], ...] = (
    (0.35, ringing),
    (0.3, ghost),
    (0.4, uneven_slices),
    (0.03, lost_slices),
    (0.1, clipped),
)
"""How often each happens."""
