"""What a session yields: a T1-weighted image, a BOLD series and a diffusion series, on their native grids."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, Grid
from pds_bids.simulation.anatomy import FINE_GRID, Structure
from pds_bids.simulation.fluctuations import fluctuations
from pds_bids.simulation.gradients import bvecs_of, gradient_directions
from pds_bids.simulation.head import Head
from pds_bids.simulation.physics import (
    dropout_attenuation,
    gre_approach,
    gre_signal,
    mprage_signal,
    spin_echo_signal,
)
from pds_bids.simulation.scanner import (
    Matrix,
    Pose,
    distortion,
    head_motion,
    magnitude,
    native_grid,
    point_spread,
    receive_field,
    render,
)
from pds_bids.simulation.sites import Protocol, Site
from pds_bids.simulation.smoothing import block_means

GREY_LEVEL = 600.0
"""Typical value of grey matter in a file: scanners use arbitrary units."""

UNSTEADY_VOLUMES = 3
"""After so many excitations the series of `SITES` are steady: tissue to within 0.01 %, CSF 0.3 %."""

HERTZ_PER_MICROTESLA = 42.577


@dataclass(frozen=True)
class Scan:
    """An image or series as it comes from the scanner.

    Attributes
    ----------
    data
        (X, Y, Z) or (X, Y, Z, T) float32.
    affine
        (4, 4) voxel index -> scanner RAS mm.
    bvals
        (T,) in s/mm2, of a diffusion series.
    bvecs
        (3, T) in image axes by the convention of BIDS and FSL.
    """

    data: Tensor
    affine: NDArray[np.float64]
    bvals: NDArray[np.float64] | None = None
    bvecs: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Station:
    """What all volumes of one series share: grid, receiver, and how the field moves the signal."""

    protocol: Protocol
    native: Grid
    pose: Pose
    shift: Tensor
    pile_up: Tensor
    gain: Tensor
    sigma: float

    def see(self, image: Tensor, motion: Matrix) -> Tensor:
        """Maps (C, 80, 96, 88) in model space as they appear on the native grid, (C, X, Y, Z)."""
        to_model = self.pose.to_model @ motion
        return render(image, MODEL_GRID, self.native, to_model, self.shift, self.protocol.phase_axis)

    def record(self, signal: Tensor, generator: torch.Generator) -> Tensor:
        """A distorted signal as the receiver hears it: piled up, shaded by the coil, noisy."""
        return magnitude(signal * self.pile_up * self.gain, self.sigma, generator)


def acquire_t1w(head: Head, site: Site, pose: Pose, generator: torch.Generator) -> Scan:
    """The anatomical image: MPRAGE, without distortion for its readout is fast."""
    protocol = site.t1w
    native = _native(protocol)
    signal = mprage_signal(
        head.tissue, 1e3 * protocol.tr_s, 1e3 * protocol.ti_s, 1e3 * protocol.te_s, protocol.flip_deg
    )
    gain, sigma = _receiver(head, signal, protocol, native, generator)
    image = render(signal[None], FINE_GRID, native, pose.to_model)[0]
    return Scan(magnitude(image * gain, sigma, generator), native.affine)


def acquire_bold(head: Head, protocol: Protocol, pose: Pose, generator: torch.Generator) -> Scan:
    """Spoiled gradient-echo EPI with dropout, resting signal, physiology, drift, motion, unsteady start."""
    tr_ms = 1e3 * protocol.tr_s
    signal = gre_signal(head.tissue, tr_ms, 1e3 * protocol.te_s, protocol.flip_deg)
    signal = torch.where(head.structures == Structure.CSF, protocol.inflow * signal, signal)
    station = _station(head, signal, protocol, pose, generator)
    loss = _dropout(head.field_hz, protocol, station.native, pose)

    def image(excess: Tensor | float) -> Tensor:
        return point_spread(block_means((signal * excess)[None]) * loss, station.native, pose)

    pulses = range(UNSTEADY_VOLUMES)
    images = [image(gre_approach(head.tissue, tr_ms, protocol.flip_deg, pulse)) for pulse in pulses]
    images.append(image(1.0))
    maps, courses = fluctuations(head.structures, protocol, generator)
    maps = station.see(maps, np.eye(4))
    volumes = []
    for number, motion in enumerate(head_motion(protocol.n_volumes, protocol.motion_mm, generator)):
        still = station.see(images[min(number, UNSTEADY_VOLUMES)], motion)[0]
        lively = still * (1 + torch.einsum("cxyz,cz->xyz", maps, courses[:, number]))
        volumes.append(station.record(lively, generator))
    return Scan(torch.stack(volumes, dim=-1), station.native.affine)


def acquire_dwi(head: Head, protocol: Protocol, pose: Pose, generator: torch.Generator) -> Scan:
    """Diffusion-weighted spin-echo EPI of one shell, b0 volumes interleaved, with its table of gradients."""
    unweighted = spin_echo_signal(head.tissue, 1e3 * protocol.tr_s, 1e3 * protocol.te_s)
    station = _station(head, unweighted, protocol, pose, generator)
    weighted = protocol.weighted
    gradients = np.zeros((protocol.n_volumes, 3))
    gradients[weighted] = gradient_directions(int(weighted.sum()))
    bvals: Matrix = np.where(weighted, protocol.b_value, 0.0)
    motions = head_motion(protocol.n_volumes, protocol.motion_mm, generator)
    # a gradient is fixed in the scanner: a head that turns sees it turn the other way
    seen: Matrix = np.einsum("tij,tj->ti", motions[:, :3, :3], gradients)
    volumes = []
    for image, motion in zip(diffusion_images(head, unweighted, pose, seen, bvals), motions, strict=True):
        sharp = point_spread(image[None], station.native, pose)
        volumes.append(station.record(station.see(sharp, motion)[0], generator))
    affine = station.native.affine
    return Scan(torch.stack(volumes, dim=-1), affine, bvals, bvecs_of(gradients, affine))


ACQUIRE: Mapping[Modality, Callable[[Head, Protocol, Pose, torch.Generator], Scan]] = {
    Modality.BOLD: acquire_bold,
    Modality.DWI: acquire_dwi,
}
"""How the series of each modality is acquired."""


def diffusion_images(
    head: Head,
    unweighted: Tensor,
    pose: Pose,
    gradients: NDArray[np.float64],
    bvals: NDArray[np.float64],
) -> Iterator[Tensor]:
    """Signal of an axially symmetric tensor per 1 mm voxel, S0 exp(-b (l_perp + (l_par - l_perp) (g.f)^2)).

    Parameters
    ----------
    unweighted
        (160, 192, 176) signal at b = 0.
    gradients
        (T, 3) unit vectors in scanner axes; what belongs to b = 0 is ignored.
    bvals
        (T,) in s/mm2.

    Yields
    ------
    Tensor
        (80, 96, 88) block means, one per gradient.
    """
    d = head.tissue.fa / torch.sqrt(3 - 2 * head.tissue.fa**2)
    inside = block_means(unweighted[None])[0] > 0
    signal, l_perp, surplus = (
        _blocks(x, inside) for x in (unweighted, head.tissue.md * (1 - d), 3 * head.tissue.md * d)
    )
    # the pose stretches the head as well as turning it, so fibres are carried by its whole linear part
    to_scanner = torch.tensor(np.linalg.inv(pose.to_model[:3, :3]), dtype=signal.dtype, device=signal.device)
    fibres = F.normalize(to_scanner @ head.fibres[:, inside], dim=0)
    for gradient, b_value in zip(gradients, bvals, strict=True):
        along = (torch.tensor(gradient, dtype=signal.dtype, device=signal.device) @ fibres) ** 2
        image = torch.zeros(MODEL_GRID.shape, device=signal.device)
        image[inside] = (signal * torch.exp(-float(b_value) * (l_perp + surplus * along))).mean(0)
        yield image


def _blocks(fine: Tensor, inside: Tensor) -> Tensor:
    """(8, N): the eight 1 mm voxels in each of the N voxels of `MODEL_GRID` that are inside."""
    x, y, z = MODEL_GRID.shape
    return fine.view(x, 2, y, 2, z, 2).permute(1, 3, 5, 0, 2, 4).reshape(8, x, y, z)[:, inside]


def _native(protocol: Protocol) -> Grid:
    return native_grid(protocol.shape, protocol.voxel_mm, protocol.orientation, protocol.tilt_deg)


def _station(
    head: Head, reference: Tensor, protocol: Protocol, pose: Pose, generator: torch.Generator
) -> _Station:
    native = _native(protocol)
    seconds = protocol.phase_sign * protocol.readout_s
    shift, pile_up = distortion(head.field_hz, native, pose, protocol.phase_axis, seconds)
    gain, sigma = _receiver(head, reference, protocol, native, generator)
    return _Station(protocol, native, pose, shift, pile_up, gain, sigma)


def _receiver(
    head: Head, reference: Tensor, protocol: Protocol, native: Grid, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Gain per native voxel, and the noise per channel that gives cortex the protocol's signal to noise."""
    loudness = math.exp(0.3 * float(torch.randn((), generator=generator, device=generator.device)))
    level = GREY_LEVEL * loudness
    cortex = float(reference[head.structures == Structure.CORTEX].mean())
    return level / cortex * receive_field(native, protocol.bias_sd, generator), level / protocol.snr


def _dropout(field_hz: Tensor, protocol: Protocol, native: Grid, pose: Pose) -> Tensor:
    """(80, 96, 88) signal that dephasing across the slice leaves."""
    normal = pose.to_model[:3, :3] @ (native.affine[:3, 2] / native.voxel_mm[2])  # model mm per scanner mm
    slopes = torch.gradient(field_hz, spacing=MODEL_GRID.voxel_mm.tolist())
    hertz_per_mm = sum(float(n) * slope for n, slope in zip(normal, slopes, strict=True))
    gradient_ut_m = 1e3 / HERTZ_PER_MICROTESLA * torch.as_tensor(hertz_per_mm)
    return dropout_attenuation(gradient_ut_m, protocol.voxel_mm[2], 1e3 * protocol.te_s)
