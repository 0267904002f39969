"""How a modality is scanned: protocols drawn from what sites use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from pds_bids.core.modality import Modality

Uniform = Callable[[float, float], float]
"""Draws between two limits."""


@dataclass(frozen=True)
class Acquisition:
    """How one modality was scanned, and what preprocessing left of it.

    Attributes
    ----------
    fwhm_mm
        Resolution along (x, y, z) after all interpolations.
    shift_mm
        Displacement along the phase axis (y) per unit of field.
    bias_sd
        Standard deviation of the logarithm of the bias field that N4 left.
    tr_ms, te_ms, ti_ms, flip_deg, b_value
        Contrast; the inversion time of T1w only, b in s/mm2.
    noise
        Standard deviation of one volume, relative to cortex without diffusion weighting.
    n_volumes
        Volumes averaged.
    dropout
        Through-slice gradient at the cavities in microtesla per metre; 0 where a spin echo refocuses it.
    inflow
        Brightening of ventricular CSF by fresh spins.
    sulcal, sulcal_sd
        Brightness of sulcal fluid relative to what the table says, and how it varies from place to place
        (logarithm): it is a mixture of fluid, vessels and membranes.
    venous
        Share of the signal that a voxel full of veins loses.
    primary
        Share of the signal that primary cortex, rich in myelin and iron, lacks.
    gain_sd
        Standard deviation of the logarithm of what each structure's signal differs from the table's.
    texture_sd
        Standard deviation of the texture within tissues.
    gamma
        Exponent that the reconstruction's scaling applies to relative intensities.
    rigid_mm, rigid_deg
        Standard deviation of the misalignment along and about each axis.
    """

    fwhm_mm: tuple[float, float, float]
    shift_mm: float
    bias_sd: float
    tr_ms: float = 0.0
    te_ms: float = 0.0
    ti_ms: float = 0.0
    flip_deg: float = 90.0
    b_value: float = 0.0
    noise: float = 0.0
    n_volumes: int = 1
    dropout: float = 0.0
    inflow: float = 1.0
    sulcal: float = 1.0
    sulcal_sd: float = 0.0
    venous: float = 0.0
    primary: float = 0.0
    gain_sd: float = 0.0
    texture_sd: float = 0.0
    gamma: float = 1.0
    rigid_mm: float = 0.2
    rigid_deg: float = 0.2


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))


def random_acquisition(modality: Modality, generator: torch.Generator) -> Acquisition:
    """Draw a protocol from the range that clinical and research sites use."""

    def u(low: float, high: float) -> float:
        return uniform(generator, low, high)

    sign = 1.0 if u(0, 1) < 0.5 else -1.0
    in_plane, slice_mm = min(u(1.8, 4.2), u(1.8, 4.2)), u(1.8, 5.5)  # in plane, most are fine
    scan = Acquisition(
        (in_plane, in_plane, slice_mm),
        shift_mm=sign * u(0, 10),
        bias_sd=u(0.03, 0.3),
        gain_sd=u(0.02, 0.12),
        texture_sd=u(0.01, 0.08),
        gamma=u(0.8, 1.25),
        rigid_mm=u(0.1, 0.7),
        rigid_deg=u(0.1, 0.6),
    )
    return PROTOCOLS[modality](scan, u)


def reference_acquisition(modality: Modality, generator: torch.Generator) -> Acquisition:
    """Draw from the narrow range around the protocol that synthesised volumes stand for.

    Nothing in a source tells how the target would have been scanned, so what is synthesised has to be
    defined: it is what this protocol would have shown. Sources come from anywhere (`random_acquisition`).
    """

    def u(low: float, high: float) -> float:
        return uniform(generator, low, high)

    sign = 1.0 if u(0, 1) < 0.5 else -1.0
    scan = Acquisition(
        (u(2.0, 2.6),) * 3,
        shift_mm=sign * u(0, 5),
        bias_sd=u(0.01, 0.08),
        gain_sd=u(0.02, 0.07),
        texture_sd=u(0.02, 0.08),
        gamma=u(0.95, 1.1),
    )
    return REFERENCES[modality](scan, u)


def random_t1w(generator: torch.Generator) -> Acquisition:
    """Draw a magnetisation-prepared T1w protocol, and what registration to a source leaves of it."""

    def u(low: float, high: float) -> float:
        return uniform(generator, low, high)

    return Acquisition(
        (u(1.0, 2.5),) * 3,  # 1 to 1.5 mm, and an interpolation to the model grid
        shift_mm=0.0,
        bias_sd=u(0.02, 0.15),
        tr_ms=u(1900, 2600),
        ti_ms=u(850, 1100),
        noise=u(0.01, 0.05),
        te_ms=u(2.2, 4.0),
        flip_deg=u(7, 10),
        gain_sd=u(0.01, 0.05),
        texture_sd=u(0.01, 0.03),
        sulcal_sd=u(0.1, 0.3),
        venous=u(0.0, 0.4),
        primary=u(-0.06, 0.0),
        rigid_mm=u(0.2, 0.6),
        rigid_deg=u(0.1, 0.4),
    )


def _reference_bold(scan: Acquisition, u: Uniform) -> Acquisition:
    """OASIS-like: TR 2.2 s, TE 30 ms, 90 degrees."""
    return replace(
        scan,
        tr_ms=2200,
        te_ms=30,
        flip_deg=90,
        noise=0.02,
        n_volumes=50,
        dropout=u(150, 350),
        inflow=u(1.15, 1.5),
        sulcal=u(1.15, 1.75),
        sulcal_sd=u(0.15, 0.3),
        venous=u(0.3, 0.6),
        primary=u(0.02, 0.08),
    )


def _reference_dwi(scan: Acquisition, u: Uniform) -> Acquisition:
    """One shell at b = 1000 s/mm2, TR 9 s, TE 85 ms."""
    return replace(
        scan,
        tr_ms=9000,
        te_ms=85,
        b_value=1000,
        noise=u(0.02, 0.04),
        n_volumes=30,
        sulcal=u(0.75, 1.1),
        sulcal_sd=u(0.1, 0.25),
        venous=u(0.2, 0.5),
    )


REFERENCES: Mapping[Modality, Callable[[Acquisition, Uniform], Acquisition]] = {
    Modality.BOLD: _reference_bold,
    Modality.DWI: _reference_dwi,
}


def _gradient_echo(scan: Acquisition, u: Uniform) -> Acquisition:
    return replace(
        scan,
        tr_ms=u(600, 3000),
        te_ms=u(24, 35),
        flip_deg=u(50, 90),
        noise=u(0.01, 0.03),
        n_volumes=50,
        dropout=u(50, 350),
        inflow=u(1.0, 1.7),
        sulcal=u(0.85, 1.9),
        sulcal_sd=u(0.1, 0.4),
        venous=u(0.1, 0.8),
        primary=u(0.0, 0.12),
    )


def _diffusion_shell(scan: Acquisition, u: Uniform) -> Acquisition:
    return replace(
        scan,
        tr_ms=u(4500, 12000),
        te_ms=u(65, 100),
        b_value=u(700, 1300) if u(0, 1) < 0.75 else u(1300, 2500),
        noise=u(0.02, 0.07),
        n_volumes=round(u(6, 40)),
        sulcal=u(0.6, 1.4),
        sulcal_sd=u(0.1, 0.35),
        venous=u(0.0, 0.6),
        primary=u(-0.05, 0.05),
    )


PROTOCOLS: Mapping[Modality, Callable[[Acquisition, Uniform], Acquisition]] = {
    Modality.BOLD: _gradient_echo,
    Modality.DWI: _diffusion_shell,
}
