"""Where subjects are scanned: four sites, each with its own protocols.

Matrices, voxel sizes, TR and TE are of the kind published for OASIS-3, ADNI-3 and PPMI; all else (flip
angles, signal to noise, readouts, coils) is recalled or made up to be plausible [R]. Series are short on
purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.simulation.field import FIELD_PEAK_HZ
from pds_bids.simulation.protocol import Acquisition, random_acquisition

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Protocol:
    """How one image or series is scanned.

    Attributes
    ----------
    shape, voxel_mm
        Native grid; slices are stacked along the third axis.
    orientation
        Where each index grows to, e.g. "LAS" (nibabel's axis codes).
    tr_s, te_s, flip_deg
        Repetition time, echo time, flip angle.
    tilt_deg
        Obliqueness: how far the grid is turned about the left-right axis.
    ti_s
        Inversion time; T1w only.
    phase_direction
        BIDS PhaseEncodingDirection: "i", "j", with "-" for the other sign.
    readout_s
        BIDS TotalReadoutTime.
    n_volumes
        Volumes in the series, b0 and unsteady ones included.
    snr
        Grey matter without diffusion weighting over the noise of one channel.
    bias_sd
        Standard deviation of the logarithm of the receive field.
    inflow
        Brightening of ventricular CSF by fresh spins.
    slice_order
        "ascending" or "interleaved".
    multiband
        Slices excited at once.
    motion_mm
        Standard deviation that head position reaches at the end of the series, per axis.
    b_value, n_b0
        Diffusion weighting in s/mm2, and how many volumes go without.
    """

    shape: tuple[int, int, int]
    voxel_mm: Triple
    orientation: str
    tr_s: float
    te_s: float
    flip_deg: float
    tilt_deg: float = 0.0
    ti_s: float = 0.0
    phase_direction: str = "j"
    readout_s: float = 0.0
    n_volumes: int = 1
    snr: float = 30.0
    bias_sd: float = 0.15
    inflow: float = 1.0
    slice_order: str = "interleaved"
    multiband: int = 1
    motion_mm: float = 0.3
    b_value: float = 0.0
    n_b0: int = 0

    @property
    def phase_axis(self) -> int:
        """Index of the phase-encoded axis of the array."""
        return "ijk".index(self.phase_direction[0])

    @property
    def phase_sign(self) -> int:
        """-1 where BIDS writes a minus sign."""
        return -1 if self.phase_direction.endswith("-") else 1

    @property
    def slice_times_s(self) -> NDArray[np.float64]:
        """When each slice is excited after the volume begins: BIDS SliceTiming.

        Examples
        --------
        >>> from dataclasses import replace
        >>> bold = replace(SITES["oasis"].protocols[Modality.BOLD], shape=(64, 64, 4), tr_s=2.0)
        >>> bold.slice_times_s.tolist()
        [0.0, 1.0, 0.5, 1.5]
        """
        n_shots = -(-self.shape[2] // self.multiband)
        shots = np.arange(n_shots)
        if self.slice_order == "interleaved":
            shots = np.concatenate([shots[::2], shots[1::2]])
        times = np.empty(n_shots)
        times[shots] = np.arange(n_shots) * self.tr_s / n_shots
        tiled: NDArray[np.float64] = np.tile(times, self.multiband)[: self.shape[2]]
        return tiled

    @property
    def weighted(self) -> NDArray[np.bool_]:
        """(n_volumes,) which volumes are diffusion weighted: not the first, nor others spread evenly."""
        flags = np.ones(self.n_volumes, bool)
        flags[np.arange(self.n_b0) * self.n_volumes // max(self.n_b0, 1)] = False
        return flags


@dataclass(frozen=True)
class Site:
    """One scanner and what it runs.

    Attributes
    ----------
    name
        Key in `SITES`.
    t1w
        Protocol of the anatomical image.
    protocols
        Protocol of each modality.
    """

    name: str
    t1w: Protocol
    protocols: Mapping[Modality, Protocol]

    def acquisition(self, modality: Modality) -> Acquisition:
        """How a mean volume of this site comes to model space: always the same.

        What no protocol says (reconstruction, gains, coil, leftovers of registration) is drawn once for the
        site. Distortion is along y, whatever axis was phase encoded.
        """
        scanner = torch.Generator().manual_seed(derived_seed(0, self.name, modality))
        protocol = self.protocols[modality]
        return replace(
            random_acquisition(modality, scanner),
            fwhm_mm=protocol.voxel_mm,
            shift_mm=protocol.phase_sign * FIELD_PEAK_HZ * protocol.readout_s * protocol.voxel_mm[1],
            bias_sd=protocol.bias_sd,
            tr_ms=1000 * protocol.tr_s,
            te_ms=1000 * protocol.te_s,
            flip_deg=protocol.flip_deg,
            b_value=protocol.b_value,
            noise=1 / protocol.snr,
            n_volumes=int(protocol.weighted.sum()),
            inflow=protocol.inflow,
        )


OASIS = Site(
    name="oasis",
    t1w=Protocol((176, 240, 256), (1.0, 1.0, 1.0), "RAS", 2.4, 0.0032, 8, ti_s=1.0, snr=28, bias_sd=0.15),
    protocols={
        Modality.BOLD: Protocol(
            (64, 64, 36), (4.0, 4.0, 4.0), "LAS", 2.2, 0.027, 90, phase_direction="j-", readout_s=0.030,
            n_volumes=30, snr=90, bias_sd=0.12, inflow=1.15, motion_mm=0.3,
        ),
        Modality.DWI: Protocol(
            (96, 96, 60), (2.5, 2.5, 2.5), "LAS", 8.2, 0.085, 90, phase_direction="j", readout_s=0.050,
            n_volumes=26, snr=28, bias_sd=0.12, motion_mm=0.25, b_value=1000, n_b0=2,
        ),
    },
)  # fmt: skip

ADNI = Site(
    name="adni",
    t1w=Protocol((240, 256, 176), (1.0, 1.0, 1.0), "PSR", 2.3, 0.0030, 9, ti_s=0.9, snr=32, bias_sd=0.12),
    protocols={
        Modality.BOLD: Protocol(
            (64, 64, 48), (3.3, 3.3, 3.3), "RPS", 3.0, 0.030, 80, tilt_deg=12, phase_direction="j",
            readout_s=0.032, n_volumes=24, snr=70, bias_sd=0.10, inflow=1.1, slice_order="ascending",
            motion_mm=0.35,
        ),
        Modality.DWI: Protocol(
            (84, 84, 56), (2.7, 2.7, 2.7), "LAS", 7.2, 0.065, 90, phase_direction="j-", readout_s=0.043,
            n_volumes=34, snr=30, bias_sd=0.10, motion_mm=0.3, b_value=1000, n_b0=5,
        ),
    },
)  # fmt: skip

PPMI = Site(
    name="ppmi",
    t1w=Protocol((160, 240, 240), (1.2, 1.0, 1.0), "LAS", 2.3, 0.0030, 9, ti_s=0.9, snr=26, bias_sd=0.18),
    protocols={
        Modality.BOLD: Protocol(
            (68, 66, 40), (3.3, 3.3, 3.5), "LPS", 2.4, 0.025, 80, tilt_deg=-8, phase_direction="j",
            readout_s=0.028, n_volumes=28, snr=75, bias_sd=0.15, inflow=1.2, motion_mm=0.45,
        ),
        Modality.DWI: Protocol(
            (104, 104, 72), (2.0, 2.0, 2.0), "LPS", 9.0, 0.088, 90, tilt_deg=-8, phase_direction="j-",
            readout_s=0.060, n_volumes=33, snr=18, bias_sd=0.15, motion_mm=0.3, b_value=1000, n_b0=1,
        ),
    },
)  # fmt: skip

HOSPITAL = Site(
    name="hospital",
    t1w=Protocol((224, 224, 160), (1.1, 1.1, 1.1), "ASR", 1.9, 0.0035, 12, ti_s=0.95, snr=16, bias_sd=0.2),
    protocols={
        Modality.BOLD: Protocol(
            (64, 64, 30), (3.6, 3.6, 4.8), "LAS", 2.0, 0.035, 77, tilt_deg=18, phase_direction="j-",
            readout_s=0.036, n_volumes=20, snr=45, bias_sd=0.2, inflow=1.25, motion_mm=0.6,
        ),
        Modality.DWI: Protocol(
            (112, 112, 28), (2.1, 2.1, 5.0), "RAS", 5.5, 0.095, 90, tilt_deg=15, phase_direction="i",
            readout_s=0.055, n_volumes=14, snr=18, bias_sd=0.2, slice_order="ascending", motion_mm=0.4,
            b_value=1000, n_b0=2,
        ),
    },
)  # fmt: skip

SITES: Mapping[str, Site] = {site.name: site for site in (OASIS, ADNI, PPMI, HOSPITAL)}
"""Every site by name, the best known first."""
