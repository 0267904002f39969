"""Geometry and electronics of a scan: from maps in model space to noisy voxels on an oblique native grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.volume import MODEL_GRID, Grid
from pds_bids.simulation.smoothing import gaussian_blur, smooth_noise

Matrix = NDArray[np.float64]


def _shift(millimetres: Sequence[float] | Matrix) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, 3] = millimetres
    return matrix


BRAIN_CENTRE_MM = (0.0, -17.0, 16.0)
"""What a radiographer puts into the middle of the scanner, in model space: the vertex must not be cut off."""

HEAD_ROTATION_DEG, HEAD_OFFSET_MM = 4.0, 4.0
"""Standard deviations, per axis, of how a head lies in its coil [R]."""

POINT_SPREAD = 1.15
"""Full width at half maximum of an EPI point spread, in voxels [R]: the T2* decay of the readout blurs."""

SETTLED_VOXELS = 0.02
"""The place where a distorted signal comes from is known to within this."""

_FWHM_PER_SD = math.sqrt(8 * math.log(2))


@dataclass(frozen=True)
class Pose:
    """Where a head lies in one session, and how large it is.

    Attributes
    ----------
    to_model
        (4, 4) scanner RAS mm -> model RAS mm: the subject's scale times a rotation, and a shift.
    """

    to_model: Matrix


def head_scale(generator: torch.Generator) -> Matrix:
    """(3,) how much larger the template is than a head along each axis, 0.85 to 1.15: one draw per subject.

    The ICBM template is larger than the average brain, by about 4 % in length [R].
    """
    common, *axes = torch.randn(4, generator=generator, device=generator.device).tolist()
    scale: Matrix = np.exp(0.04 + 0.04 * common + 0.02 * np.array(axes)).clip(0.85, 1.15)
    return scale


def random_pose(generator: torch.Generator, scale: Matrix) -> Pose:
    """One session's pose of a head of `scale` (`head_scale`)."""
    angles, offset = torch.randn((2, 3), generator=generator, device=generator.device).double().cpu().numpy()
    lying = rigid(HEAD_ROTATION_DEG * angles, HEAD_OFFSET_MM * offset)
    return Pose(_shift(BRAIN_CENTRE_MM) @ np.diag([*scale, 1.0]) @ lying)


def rigid(degrees: Matrix, millimetres: Matrix) -> Matrix:
    """(4, 4) rotation about x, then y, then z through the origin, then a shift."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(4)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return _shift(millimetres) @ matrix


def native_grid(
    shape: tuple[int, int, int], voxel_mm: tuple[float, float, float], orientation: str, tilt_deg: float = 0.0
) -> Grid:
    """A grid centred in the scanner.

    Parameters
    ----------
    orientation
        Direction in which each index grows, one of each pair R/L, A/P, S/I.
    tilt_deg
        Rotation about the left-right axis; positive lifts the nose.

    Examples
    --------
    >>> native_grid((3, 3, 3), (2.0, 2.0, 4.0), "LPS").affine.tolist()[:3]
    [[-2.0, 0.0, 0.0, 2.0], [0.0, -2.0, 0.0, 2.0], [0.0, 0.0, 4.0, -4.0]]
    """
    axes = np.zeros((3, 3))
    for column, code in enumerate(orientation):
        row = next(i for i, pair in enumerate(("LR", "PA", "IS")) if code in pair)
        axes[row, column] = 1.0 if code in "RAS" else -1.0
    affine = np.eye(4)
    turned = rigid(np.array([tilt_deg, 0.0, 0.0]), np.zeros(3))[:3, :3] if tilt_deg else np.eye(3)
    affine[:3, :3] = turned @ axes * np.array(voxel_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + 0.0
    return Grid(shape, affine)


def render(
    image: Tensor,
    lattice: Grid,
    native: Grid,
    to_model: Matrix,
    shift: Tensor | None = None,
    phase_axis: int = 1,
    outside: str = "zeros",
) -> Tensor:
    """Sample maps in model space at native voxels, trilinearly.

    Parameters
    ----------
    image
        (C, *lattice.shape) on `MODEL_GRID` or `FINE_GRID`.
    to_model
        (4, 4) scanner mm -> model mm, head motion included.
    shift
        Native shape: displacement of the signal along `phase_axis`, in voxels: what is seen at j comes from
        j - shift.
    outside
        "zeros" or "border": what lies beyond the lattice.

    Returns
    -------
    Tensor
        (C, *native.shape).
    """
    voxels = np.linalg.inv(lattice.affine) @ to_model @ native.affine
    theta = _unit_cube(lattice.shape, inverse=True) @ voxels @ _unit_cube(native.shape)
    order = [2, 1, 0]  # torch names the last axis first
    theta_zyx = torch.tensor(theta[:3][order][:, [*order, 3]], dtype=image.dtype, device=image.device)
    where = F.affine_grid(theta_zyx[None], [1, 1, *native.shape], align_corners=True)
    if shift is not None:
        column = theta_zyx[:, 2 - phase_axis] * 2 / (native.shape[phase_axis] - 1)
        where = where - shift[None, ..., None] * column
    return F.grid_sample(image[None], where, padding_mode=outside, align_corners=True)[0]


def _unit_cube(shape: tuple[int, int, int], inverse: bool = False) -> Matrix:
    """(4, 4) positions in [-1, 1] -> voxel indices, or back."""
    half = (np.array(shape) - 1) / 2
    matrix = np.diag([*half, 1.0])
    matrix[:3, 3] = half
    return np.linalg.inv(matrix) if inverse else matrix


def point_spread(image: Tensor, native: Grid, pose: Pose) -> Tensor:
    """Blur (C, 80, 96, 88) so that, sampled trilinearly, it has the resolution of native voxels.

    Block means (2 mm wide) and trilinear sampling blur already; only what they lack is added.
    """
    to_model = pose.to_model[:3, :3] @ native.affine[:3, :3] / native.voxel_mm
    wanted = to_model**2 @ (POINT_SPREAD * native.voxel_mm / _FWHM_PER_SD) ** 2
    lattice_mm = MODEL_GRID.voxel_mm
    present = lattice_mm**2 * (1 / 12 + 1 / 6)
    sigma = np.sqrt(np.clip(wanted - present, 0, None)) / lattice_mm
    return gaussian_blur(image[None], sigma.tolist())[0]


def distortion(
    field_hz: Tensor, native: Grid, pose: Pose, phase_axis: int, seconds: float, iterations: int = 30
) -> tuple[Tensor, Tensor]:
    """Where the static field moves the signal, and how it piles up.

    Parameters
    ----------
    field_hz
        (80, 96, 88) in model space.
    seconds
        Total readout time, negative for a reversed phase direction: a positive field moves the
        signal of "j" towards larger j, by field x readout voxels.
    iterations
        At most. The steeper the field, the more are needed; where it folds the image none is enough.

    Returns
    -------
    tuple of Tensor
        Shift in voxels, at the place where the signal is seen (for `render`), and the factor by which
        its intensity grows there; both of the native shape.
    """
    shift = torch.zeros(native.shape, device=field_hz.device)
    for _ in range(iterations):  # s(y) = f(y - s(y)): the field acts where the signal comes from
        seen = render(field_hz[None], MODEL_GRID, native, pose.to_model, shift, phase_axis, outside="border")
        last, shift = shift, seconds * seen[0]
        if (shift - last).abs().max() < SETTLED_VOXELS:
            break
    pile_up = (1 - torch.gradient(shift, dim=phase_axis)[0]).clamp(0, 3)
    return shift, pile_up


def receive_field(native: Grid, sd: float, generator: torch.Generator) -> Tensor:
    """Sensitivity of the coil, native shape, about 1: higher at its surface and smoothly uneven.

    Its logarithm has a standard deviation of `sd` in the middle of the field of view, where the brain is.
    """
    axes = [torch.linspace(-1, 1, n, device=generator.device) for n in native.shape]
    radius = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    uneven = smooth_noise(native.shape, 2, 1, generator)[0, 0]
    field = radius / radius.std() + uneven / uneven.std()
    brain = field[radius < 0.7]
    return torch.exp(sd * (field - brain.mean()) / brain.std())


def magnitude(signal: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Rician noise: the magnitude of a signal with complex Gaussian noise of sd `sigma` per channel."""
    real, imaginary = sigma * torch.randn((2, *signal.shape), generator=generator, device=signal.device)
    return torch.hypot(signal + real, imaginary)


def head_motion(n_volumes: int, millimetres: float, generator: torch.Generator) -> Matrix:
    """Rigid movement of a head during a series: a random walk, with now and then a jerk.

    Parameters
    ----------
    millimetres
        Standard deviation reached at the end along each axis; rotations reach as many degrees.

    Returns
    -------
    ndarray
        (n_volumes, 4, 4) scanner mm -> scanner mm at the first volume, the identity to begin with.
    """
    steps = torch.randn((n_volumes, 6), generator=generator, device=generator.device)
    jerky = torch.rand((n_volumes, 1), generator=generator, device=generator.device) < 0.05
    walk = ((steps * (1 + 3 * jerky)).cumsum(0) - steps[0] * (1 + 3 * jerky[0])).double().cpu().numpy()
    walk *= millimetres / math.sqrt(max(n_volumes - 1, 1))
    return np.stack([rigid(position[:3], position[3:]) for position in walk])
