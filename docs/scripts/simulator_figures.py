"""Simulated scans beside those of a real session: slices, histograms and spectra for docs/simulator.rst."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nibabel as nb
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from pds_bids.core.modality import Modality
from pds_bids.core.seeds import derived_seed
from pds_bids.core.volume import Grid, Volume
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.resampling import resample
from pds_bids.simulation.head import Head
from pds_bids.simulation.scanner import head_scale, random_pose
from pds_bids.simulation.series import ACQUIRE, Scan, acquire_t1w
from pds_bids.simulation.sites import SITES, Protocol, Site

Floats = NDArray[np.floating[Any]]

WHITE = {"mean BOLD": 1.8, "b0": 3.0, "mean DWI": 1.8, "T1w": 1.6}
"""The images that are compared, and what is shown as white in them, in brain medians; black is zero."""

N_UNSTEADY = 4
"""Volumes left out at the beginning of a BOLD series."""

PIXEL_MM = 1.25
FIELD_MM = np.array([190.0, 240.0, 230.0])
"""Field of the pictures; its middle lies `BELOW_MM` below that of the brain, so that the neck can be seen."""

BELOW_MM = 20.0

TAPER_MM = 4.0
"""Standard deviation of the brain's blurred edge in spectra: a sharp one would outshine what is inside."""

BIN_PER_MM = 0.01
BANDS_PER_MM = ((0.02, 0.05), (0.05, 0.10), (0.10, 0.20))
PERCENTILES = (1, 5, 25, 75, 95, 99)


@dataclass(frozen=True)
class Session:
    """Images of one visit by the keys of `WHITE`, in medians of the brain, and where the brain is in each."""

    name: str
    images: Mapping[str, Volume]
    brains: Mapping[str, Volume]


def session(name: str, series: Mapping[Modality, Scan], t1w: Scan) -> Session:
    """Plain means, without correction of motion, distortion or bias, of a real visit as of a simulated one.

    The brain is the app's first mask of the mean BOLD volume, and for the three others that of b0.
    """
    bold, dwi = series[Modality.BOLD], series[Modality.DWI]
    weighted = np.asarray(dwi.bvals) > 50
    means = {
        "mean BOLD": _mean(bold, np.arange(bold.data.shape[3]) >= N_UNSTEADY),
        "b0": _mean(dwi, ~weighted),
        "mean DWI": _mean(dwi, weighted),
        "T1w": Volume(t1w.data.numpy(), t1w.affine),
    }
    brain = brain_mask(means["b0"])
    anatomical = resample(brain, means["T1w"].grid, np.eye(4), "nearest", space="native")
    brains = {"mean BOLD": brain_mask(means["mean BOLD"]), "b0": brain, "mean DWI": brain, "T1w": anatomical}
    scaled = {key: v.like(v.data / np.median(v.data[brains[key].data > 0])) for key, v in means.items()}
    return Session(name, scaled, brains)


def _mean(scan: Scan, volumes: NDArray[np.bool_]) -> Volume:
    return Volume(scan.data[..., torch.from_numpy(volumes)].mean(-1).numpy(), scan.affine)


def simulated(name: str, head: Head, site: Site, seed: int) -> Session:
    """A visit of a head to a site."""
    generator = torch.Generator().manual_seed(derived_seed(seed, name))
    pose = random_pose(generator, head_scale(generator))
    series = {m: ACQUIRE[m](head, protocol, pose, generator) for m, protocol in site.protocols.items()}
    return session(name, series, acquire_t1w(head, site, pose, generator))


@dataclass(frozen=True)
class Acquired:
    """A real image or series with its sidecar."""

    scan: Scan
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> Acquired:
        """Read a NIfTI file and what lies beside it."""
        image = nb.load(path)
        stem = str(path).removesuffix(".nii.gz")
        table = Path(stem + ".bval")
        scan = Scan(
            torch.from_numpy(image.get_fdata(dtype=np.float32)),
            image.affine,
            np.loadtxt(table) if table.is_file() else None,
        )
        return cls(scan, json.loads(Path(stem + ".json").read_text(encoding="utf-8")))

    def copied(self, protocol: Protocol) -> Protocol:
        """A protocol with the grid of this scan."""
        nx, ny, nz = self.scan.data.shape[:3]
        x, y, z = (round(float(v), 3) for v in nb.affines.voxel_sizes(self.scan.affine))
        return replace(
            protocol,
            shape=(nx, ny, nz),
            voxel_mm=(x, y, z),
            orientation="".join(nb.aff2axcodes(self.scan.affine)),
            tilt_deg=0.0,
        )

    def imitated(self, protocol: Protocol) -> Protocol:
        """The same with the timing of this series; what no sidecar tells stays that of `protocol`."""
        b_values = self.scan.bvals
        return replace(
            self.copied(protocol),
            tr_s=self.facts["RepetitionTime"],
            te_s=self.facts["EchoTime"],
            flip_deg=self.facts["FlipAngle"],
            readout_s=self.facts["EstimatedTotalReadoutTime"],
            n_volumes=self.scan.data.shape[3],
            n_b0=0 if b_values is None else int((b_values <= 50).sum()),
        )


def sessions(bids: Path, subject: str, head: Head, sites: Sequence[str], seed: int) -> list[Session]:
    """The real visit, the simulated head at a site with its protocols, and at the sites named."""
    folder = bids / subject
    real = {
        modality: Acquired.load(next((folder / modality.datatype).glob(f"*_{modality.value}.nii.gz")))
        for modality in Modality
    }
    t1w = Acquired.load(next((folder / "anat").glob("*_T1w.nii.gz")))
    model = SITES["adni"]
    same = Site(
        name=subject,
        t1w=t1w.copied(model.t1w),
        protocols={m: acquired.imitated(model.protocols[m]) for m, acquired in real.items()},
    )
    return [
        session(f"{subject}, acquired", {m: acquired.scan for m, acquired in real.items()}, t1w.scan),
        simulated(f"simulated, protocol of {subject}", head, same, seed),
        *(simulated(f"simulated, site {name}", head, SITES[name], seed) for name in sites),
    ]


def draw_slices(found: Sequence[Session], image: str) -> Figure:
    """Coronal, axial and sagittal sections through the middle of each brain; the subject's left is left."""
    rows = [[section.T for section in _sections(s.images[image], s.brains[image])] for s in found]
    widths = [section.shape[1] for section in rows[0]]
    height = max(section.shape[0] for section in rows[0])
    figure = Figure(figsize=(sum(widths) / 100, len(rows) * (height + 22) / 100), dpi=100, facecolor="black")
    axes = figure.subplots(len(rows), 3, squeeze=False, width_ratios=widths)
    figure.subplots_adjust(0, 0, 1, 1 - 20 / (100 * figure.get_figheight()), 0.01, 0.1)
    for line, sections, each in zip(axes, rows, found, strict=True):
        for axis, section in zip(line, sections, strict=True):
            axis.imshow(section, cmap="gray", vmin=0, vmax=WHITE[image], origin="lower")
            axis.axis("off")
        line[0].set_title(f"{image}, {each.name}", color="white", fontsize=9, loc="left", pad=4)
    return figure


def _sections(image: Volume, brain: Volume) -> Iterator[Floats]:
    """(width, height) pictures on a grid that is square to the scanner."""
    voxels = np.array(ndimage.center_of_mass(brain.data))
    centre = (image.affine @ [*voxels, 1])[:3] - [0, 0, BELOW_MM]
    x, y, z = (int(n) for n in FIELD_MM / PIXEL_MM)
    affine = np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0])
    affine[:3, 3] = centre - PIXEL_MM * (np.array([x, y, z]) - 1) / 2
    shown = resample(image, Grid((x, y, z), affine), np.eye(4), space="native").data
    yield shown[:, y // 2]
    yield shown[:, :, z // 2 + round(BELOW_MM / PIXEL_MM)]
    yield shown[x // 2]


def draw_statistics(found: Sequence[Session]) -> Figure:
    """Histograms above, radial power spectra below."""
    figure = Figure(figsize=(11, 5.5), dpi=90, layout="constrained")
    axes = figure.subplots(2, len(WHITE))
    colours = ["black", *mpl.colormaps["Dark2"].colors]
    for column, image in enumerate(WHITE):
        above, below = axes[:, column]
        for each, colour in zip(found, colours, strict=False):
            inside = each.images[image].data[each.brains[image].data > 0]
            above.hist(inside, 120, (0, 2 * WHITE[image]), density=True, histtype="step", color=colour)
            frequency, power = spectrum(each.images[image], each.brains[image])
            below.semilogy(frequency, power, color=colour, label=each.name)
        above.set(title=image, xlabel="intensity / brain median", yticks=[])
        below.set(xlabel="cycles / mm", ylabel="power / mm$^3$" if column == 0 else "")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(found))
    return figure


def spectrum(image: Volume, brain: Volume) -> tuple[Floats, Floats]:
    """Power of the brain's intensities by spatial frequency, averaged over directions.

    Returns
    -------
    tuple of ndarray
        Cycles per mm up to the lowest Nyquist frequency of the grid, and power in (brain medians)^2 mm^3.
    """
    voxel_mm = image.grid.voxel_mm
    weights = ndimage.gaussian_filter(brain.data, TAPER_MM / voxel_mm) * (brain.data > 0)
    deviation = weights * (image.data - np.average(image.data, weights=weights))
    power = np.abs(np.fft.fftn(deviation)) ** 2 * np.prod(voxel_mm) / (weights**2).sum()
    axes = np.ix_(*(np.fft.fftfreq(n, mm) ** 2 for n, mm in zip(image.data.shape, voxel_mm, strict=True)))
    frequency = np.sqrt(sum(axes))
    bins = (frequency / BIN_PER_MM).astype(int).ravel()
    radial = np.bincount(bins, power.ravel()) / np.maximum(np.bincount(bins), 1)
    n = int(0.5 / voxel_mm.max() / BIN_PER_MM)
    return (np.arange(n) + 0.5)[1:] * BIN_PER_MM, radial[1:n]


def statistics(found: Sequence[Session]) -> list[tuple[str, ...]]:
    """Percentiles in brain medians, and power in bands in decibels above that of the first session."""
    bands = [f"power_{low:.2f}-{high:.2f}_db" for low, high in BANDS_PER_MM]
    rows: list[tuple[str, ...]] = [("image", "scan", *(f"p{p}" for p in PERCENTILES), *bands)]
    for image in WHITE:
        reference = _band_power(found[0], image)
        for each in found:
            inside = each.images[image].data[each.brains[image].data > 0]
            decibels = 10 * np.log10(_band_power(each, image) / reference)
            levels = (f"{level:.2f}" for level in np.percentile(inside, PERCENTILES))
            power = ("n/a" if np.isnan(d) else f"{d:+.1f}" for d in decibels)
            rows.append((image, each.name, *levels, *power))
    return rows


def _band_power(of: Session, image: str) -> Floats:
    """Mean power in each of `BANDS_PER_MM`; NaN beyond the resolution."""
    frequency, power = spectrum(of.images[image], of.brains[image])
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS_PER_MM]
    complete = [frequency[-1] > high - 2 * BIN_PER_MM for _, high in BANDS_PER_MM]
    return np.array([power[i].mean() if full else np.nan for i, full in zip(inside, complete, strict=True)])
