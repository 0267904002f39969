"""Write how much noise that nobody sees changes the brain mask of real scans, and where they come to lie.

Usage::

    python docs/scripts/mask_repeatability.py docs/results/mask_repeatability.tsv BIDS [BIDS ...]

To the mean of a series comes Gaussian noise of a thousandth of its 90th percentile, five times. By nilearn's
EPI mask alone and by the app's: the volume of the first mask; its standard deviation and that of the refined
one's, in percent; how far from their mean place the template's voxels come to lie on average; and the Dice
coefficient of the refined mask with the template's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nibabel as nb
import numpy as np
from nilearn.masking import compute_epi_mask
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep.atlas import template_mask
from pds_bids.prep.bias import correct_bias
from pds_bids.prep.diffusion import B0_LIMIT
from pds_bids.prep.masking import brain_mask, volume_ml
from pds_bids.prep.orientation import canonical
from pds_bids.prep.quality import overlap
from pds_bids.prep.registration import align_affine
from pds_bids.prep.series import open_series

REPEATS = 5
NOISE = 1e-3

COLUMNS = ("first_ml", "first_sd_percent", "refined_sd_percent", "place_mm", "dice")


def write_table(table: Path, datasets: Sequence[Path]) -> None:
    """Two lines per series."""
    lines = ["\t".join(("scan", "threshold", *COLUMNS))]
    for mean, name in (found for dataset in datasets for found in means(dataset)):
        for threshold, mask in (("nilearn", by_nilearn), ("ours", brain_mask)):
            lines.append("\t".join((name.split(".")[0], threshold, *repeated(mean, mask))))
            sys.stderr.write(f"{lines[-1]}\n")
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


def repeated(mean: Volume, mask: Callable[[Volume], Volume]) -> tuple[str, ...]:
    """The columns of one series and one way to its first mask."""
    config, generator = PrepConfig(threads=1), np.random.default_rng(0)
    sd = NOISE * np.percentile(mean.data, 90)
    first, refined, places, dice = [], [], [], []
    for _ in range(REPEATS):
        noise = generator.normal(0, sd, mean.data.shape)
        noisy = mean.like((mean.data + noise).clip(0).astype(np.float32))
        flat = correct_bias(noisy, mask(noisy), config)
        found = mask(flat)
        first.append(volume_ml(found))
        to_model, brain = align_affine(flat, found, config)
        refined.append(volume_ml(brain))
        places.append(brain_of_template() @ np.linalg.inv(to_model).T)
        dice.append(overlap(brain, to_model))
    apart_mm = np.linalg.norm(np.array(places) - np.mean(places, axis=0), axis=-1).mean()
    spreads = [100 * np.std(sizes) / np.mean(sizes) for sizes in (first, refined)]
    return (
        f"{np.mean(first):.0f}",
        *(f"{value:.2f}" for value in (*spreads, apart_mm)),
        f"{np.mean(dice):.3f}",
    )


def brain_of_template() -> NDArray[np.float64]:
    """(N, 4) some places in the template's brain, model world."""
    voxels = np.argwhere(template_mask().data > 0)[::97]
    return np.c_[voxels, np.ones(len(voxels))] @ template_mask().affine.T


if __name__ == "__main__":
    write_table(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
