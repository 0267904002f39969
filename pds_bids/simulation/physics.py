"""Signal equations: what a scanner measures in each structure.

Values at 3 T. T2 and T2* of grey matter, white matter and pallidum: Gelman 1999; T1 and T2 of grey and white
matter: Heo 2019, Zhu 2014, Cox & Gowland 2010; proton density: BrainWeb. Other nuclei, MD and FA are recalled
textbook values that nobody confirmed, as are the rows for soft tissue, lesions, choroid plexus, sulcal CSF.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pds_bids.simulation.anatomy import Structure

TABLE = {
    # PD, T1 ms, T2 ms, T2* ms, MD 1e-3 mm2/s, FA
    Structure.AIR: (0.0, 1000, 50, 30, 1.0, 0.0),
    Structure.SOFT: (0.45, 1200, 40, 22, 1.2, 0.15),
    Structure.CORTEX: (0.82, 1350, 72, 56, 0.85, 0.12),
    Structure.WHITE: (0.70, 950, 68, 46, 0.75, 0.45),
    Structure.CALLOSUM: (0.68, 880, 70, 45, 0.80, 0.75),
    Structure.CSF: (1.0, 4000, 1800, 900, 3.0, 0.05),
    Structure.PUTAMEN: (0.80, 1200, 60, 36, 0.75, 0.15),
    Structure.CAUDATE: (0.80, 1200, 60, 36, 0.75, 0.15),
    Structure.PALLIDUM: (0.74, 1050, 39, 26.5, 0.75, 0.20),
    Structure.THALAMUS: (0.79, 1200, 64, 46, 0.80, 0.30),
    Structure.HIPPOCAMPUS: (0.83, 1400, 78, 60, 0.95, 0.12),
    Structure.AMYGDALA: (0.83, 1400, 78, 60, 0.95, 0.12),
    Structure.BRAINSTEM: (0.72, 1000, 68, 44, 0.80, 0.45),
    Structure.CEREBELLUM: (0.82, 1350, 72, 52, 0.80, 0.15),
    Structure.LESION: (0.80, 1500, 110, 70, 1.10, 0.25),
    Structure.CHOROID: (0.90, 2500, 150, 60, 2.0, 0.10),
    Structure.SULCAL: (0.85, 2500, 400, 70, 2.6, 0.05),
}

PROPERTY_SD = 0.03
"""Standard deviation of the logarithm of every property between subjects [R]."""

PARTLY_VESSELS = {Structure.SULCAL: 0.1, Structure.CHOROID: 0.2, Structure.SOFT: 0.3}
"""The same for proton density where a voxel holds who knows how much blood."""


@dataclass(frozen=True)
class TissueProperties:
    """Relaxation and diffusion: each field is (n_structures,), or a map of any shape (`at`).

    `t1`, `t2`, `t2_star` in ms, `md` in mm2/s, `pd` and `fa` without unit.
    """

    pd: Tensor
    t1: Tensor
    t2: Tensor
    t2_star: Tensor
    md: Tensor
    fa: Tensor

    def at(self, structures: Tensor) -> TissueProperties:
        """Maps of the shape of `structures`, which holds a `Structure` in each voxel."""
        return TissueProperties(*(values[structures.long()] for values in vars(self).values()))


def tissue_properties(generator: torch.Generator | None = None) -> TissueProperties:
    """The table, or one subject's random variant of it.

    Parameters
    ----------
    generator
        None gives the table itself.
    """
    device = generator.device if generator is not None else "cpu"
    values = torch.tensor([TABLE[s] for s in Structure], dtype=torch.float32, device=device)
    if generator is not None:
        sd = torch.full(values.shape, PROPERTY_SD, device=device)
        for structure, spread in PARTLY_VESSELS.items():
            sd[structure, 0] = spread
        values = values * torch.exp(sd * torch.randn(values.shape, generator=generator, device=device))
    pd, t1, t2, t2_star, md, fa = values.unbind(1)
    return TissueProperties(pd, t1, t2, t2_star, md * 1e-3, fa.clamp(max=0.95))


def t1_contrast() -> NDArray[np.float32]:
    """(n_structures,) brightness of a T1-weighted brain, 900 ms / T1; zero outside parenchyma and ventricles.

    Enough to register an anatomy to the T1-weighted template.
    """
    values = np.array([900.0 / TABLE[s][1] for s in Structure], np.float32)
    values[[Structure.AIR, Structure.SOFT, Structure.SULCAL]] = 0
    return values


def gre_signal(tissue: TissueProperties, tr_ms: float, te_ms: float, flip_deg: float) -> Tensor:
    """Spoiled gradient echo: PD sin a (1 - E1) / (1 - cos a E1) exp(-TE / T2*).

    Returns
    -------
    Tensor
        (n_structures,)

    Examples
    --------
    >>> signal = gre_signal(tissue_properties(), tr_ms=3000, te_ms=30, flip_deg=90)
    >>> round(float(signal[Structure.WHITE] / signal[Structure.CORTEX]), 2)
    0.82
    """
    flip = math.radians(flip_deg)
    e1 = torch.exp(-tr_ms / tissue.t1)
    return (
        tissue.pd * math.sin(flip) * (1 - e1) / (1 - math.cos(flip) * e1) * torch.exp(-te_ms / tissue.t2_star)
    )


def gre_approach(tissue: TissueProperties, tr_ms: float, flip_deg: float, pulse: int) -> Tensor:
    """How much brighter than in the steady state a gradient echo is after `pulse` earlier excitations.

    Mz after n pulses is M_ss + (1 - M_ss) (cos a E1)^n, M_ss = (1 - E1) / (1 - cos a E1).
    """
    cosine = math.cos(math.radians(flip_deg))
    e1 = torch.exp(-tr_ms / tissue.t1)
    steady = (1 - e1) / (1 - cosine * e1)
    return 1 + (1 / steady - 1) * (cosine * e1) ** pulse


def mprage_signal(
    tissue: TissueProperties,
    tr_ms: float,
    ti_ms: float,
    te_ms: float,
    flip_deg: float,
    echo_spacing_ms: float = 7.0,
    n_echoes: int = 176,
) -> Tensor:
    """Magnetisation-prepared rapid gradient echo at the centre of k-space, in the steady state of its cycles.

    An inversion, a wait, `n_echoes` excitations that draw Mz towards (1 - E) / (1 - cos a E) (Deichmann 2000)
    and recovery until `tr_ms` is over: each maps Mz to a + b Mz, and so does their cycle, of which the
    steady state is the fixed point.

    Parameters
    ----------
    ti_ms
        From the inversion to the centre of k-space, the middle of the train.

    Examples
    --------
    >>> signal = mprage_signal(tissue_properties(), tr_ms=2400, ti_ms=1000, te_ms=3, flip_deg=8)
    >>> [round(float(signal[s] / signal[Structure.WHITE]), 2) for s in (Structure.CORTEX, Structure.CSF)]
    [0.78, 0.21]
    """
    flip, half_train = math.radians(flip_deg), n_echoes // 2
    wait_ms = ti_ms - half_train * echo_spacing_ms
    e_echo = torch.exp(-echo_spacing_ms / tissue.t1)
    e_wait = torch.exp(-wait_ms / tissue.t1)
    e_rest = torch.exp(-(tr_ms - wait_ms - n_echoes * echo_spacing_ms) / tissue.t1)
    draw = math.cos(flip) * e_echo
    goal = (1 - e_echo) / (1 - draw)
    # after the wait Mz = 1 - (1 + M) e_wait, M being what the inversion turned over
    constant, factor = 1 - e_wait, -e_wait
    constant, factor = goal + (constant - goal) * draw**n_echoes, factor * draw**n_echoes
    constant, factor = 1 + (constant - 1) * e_rest, factor * e_rest
    inverted = constant / (1 - factor)
    centre = goal + (1 - (1 + inverted) * e_wait - goal) * draw**half_train
    return tissue.pd * math.sin(flip) * centre.abs() * torch.exp(-te_ms / tissue.t2_star)


def powder_attenuation(tissue: TissueProperties, b_value: float) -> Tensor:
    """Mean of exp(-b g'Dg) over all directions g for an axially symmetric tensor.

    With d = FA / sqrt(3 - 2 FA^2), l_par = MD (1 + 2 d) and l_perp = MD (1 - d), the mean is
    exp(-b l_perp) sqrt(pi / (4 b k)) erf(sqrt(b k)), k = l_par - l_perp.

    Parameters
    ----------
    b_value
        In s/mm2.

    Returns
    -------
    Tensor
        (n_structures,)
    """
    d = tissue.fa / torch.sqrt(3 - 2 * tissue.fa**2)
    l_perp = tissue.md * (1 - d)
    bk = (b_value * 3 * tissue.md * d).clamp(min=1e-6)
    return torch.exp(-b_value * l_perp) * torch.sqrt(math.pi / (4 * bk)) * torch.erf(torch.sqrt(bk))


def spin_echo_signal(tissue: TissueProperties, tr_ms: float, te_ms: float) -> Tensor:
    """Signal without diffusion weighting: PD (1 - exp(-TR/T1)) exp(-TE/T2)."""
    return tissue.pd * (1 - torch.exp(-tr_ms / tissue.t1)) * torch.exp(-te_ms / tissue.t2)


def trace_signal(tissue: TissueProperties, tr_ms: float, te_ms: float, b_value: float) -> Tensor:
    """Mean over the diffusion-weighted volumes of one shell (directions on the whole sphere).

    Examples
    --------
    >>> signal = trace_signal(tissue_properties(), tr_ms=9000, te_ms=85, b_value=1000)
    >>> [round(float(signal[s] / signal[Structure.CORTEX]), 2) for s in (Structure.WHITE, Structure.CSF)]
    [0.89, 0.4]
    """
    return spin_echo_signal(tissue, tr_ms, te_ms) * powder_attenuation(tissue, b_value)


def rician_mean(signal: Tensor, sigma: float | Tensor) -> Tensor:
    """Expected magnitude of a complex signal with Gaussian noise of sd `sigma` per channel.

    sigma sqrt(pi/2) [(1 + x) I0e(x/2) + x I1e(x/2)] with x = signal^2 / (2 sigma^2).
    """
    x = signal**2 / (2 * sigma**2)
    bessel = (1 + x) * torch.special.i0e(x / 2) + x * torch.special.i1e(x / 2)
    return sigma * math.sqrt(math.pi / 2) * bessel


def dropout_attenuation(gradient_ut_m: Tensor, slice_mm: float, te_ms: float) -> Tensor:
    """Through-slice dephasing |sin(x)/x|, x = gamma G dz TE / 2 (Weiskopf 2006).

    Parameters
    ----------
    gradient_ut_m
        Through-slice field gradient in microtesla per metre, any shape.

    Examples
    --------
    >>> [round(float(a), 2) for a in dropout_attenuation(torch.tensor([100.0, 200.0, 300.0]), 3.0, 30.0)]
    [0.78, 0.28, 0.13]
    """
    gamma = 2.675e8  # rad / s / T
    x = gamma * gradient_ut_m * 1e-6 * slice_mm * 1e-3 * te_ms * 1e-3 / 2
    return torch.sinc(x / math.pi).abs()
