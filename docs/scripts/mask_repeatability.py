"""Write how much noise that nobody sees changes the first brain mask of real scans.

Usage::

    python docs/scripts/mask_repeatability.py docs/results/mask_repeatability.tsv BIDS [BIDS ...]

To the mean of a series comes Gaussian noise of a thousandth of its 90th percentile, sixteen times: the
standard deviation of the mask's volume, in percent, by nilearn's EPI mask alone and as the app makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nibabel as nb
import numpy as np
from nilearn.masking import compute_epi_mask

from pds_bids.core.volume import Volume
from pds_bids.prep.diffusion import B0_LIMIT
from pds_bids.prep.masking import brain_mask
from pds_bids.prep.orientation import canonical
from pds_bids.prep.series import open_series

REPEATS = 16
NOISE = 1e-3


def write_table(table: Path, datasets: Sequence[Path]) -> None:
    """One line per series."""
    lines = ["scan\tnilearn_sd_percent\tours_sd_percent"]
    for mean, name in (found for dataset in datasets for found in means(dataset)):
        spread = [spread_percent(mean, mask) for mask in (by_nilearn, brain_mask)]
        lines.append("\t".join((name, *(f"{percent:.2f}" for percent in spread))))
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def means(dataset: Path) -> Iterator[tuple[Volume, str]]:
    """Plain means of all series of a dataset, in DWI of the weighted volumes."""
    for path in sorted([*dataset.glob("sub-*/func/*_bold.nii.gz"), *dataset.glob("sub-*/dwi/*_dwi.nii.gz")]):
        series, table = open_series(path), path.with_name(path.name.replace(".nii.gz", ".bval"))
        weighted = np.loadtxt(table) > B0_LIMIT if table.exists() else np.ones(series.n_volumes, bool)
        volumes = [canonical(volume) for volume in series.volumes(np.flatnonzero(weighted).tolist())]
        yield volumes[0].like(np.mean([volume.data for volume in volumes], axis=0)), path.name


def by_nilearn(mean: Volume) -> Volume:
    """The mask whose threshold is the widest gap between two voxels."""
    image = compute_epi_mask(nb.Nifti1Image(mean.data, mean.affine))
    return mean.like(np.asarray(image.dataobj) > 0)


def spread_percent(mean: Volume, mask: Callable[[Volume], Volume]) -> float:
    """Standard deviation of the mask's volume, in percent of its mean."""
    generator = np.random.default_rng(0)
    sd = NOISE * np.percentile(mean.data, 90)
    noisy = (mean.like(mean.data + generator.normal(0, sd, mean.data.shape)) for _ in range(REPEATS))
    sizes = [mask(volume).data.sum() for volume in noisy]
    return float(100 * np.std(sizes) / np.mean(sizes))


if __name__ == "__main__":
    write_table(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
