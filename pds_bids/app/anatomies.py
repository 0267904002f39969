"""Label maps of real people, brought to model space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError, UsageError
from pds_bids.core.volume import MODEL_SPACE, Volume, load_volume

SHARES = {"train": 0.70, "calibration": 0.15, "test": 0.15}


LEAST_KNOWN = 0.5
"""Share of the values in a label map that are labels of the head; grey levels are by chance in 20 %."""


def label_maps(folder: Path, at_least: int = len(SHARES)) -> list[Path]:
    """The label maps of a folder, sorted by name.

    Parameters
    ----------
    at_least
        How many are needed; one for each part of the split unless said otherwise.

    Raises
    ------
    UsageError
        If there are fewer.
    """
    found = sorted(path for path in folder.iterdir() if path.name.endswith((".nii.gz", ".nii")))
    if len(found) < at_least:
        raise UsageError(f"--label-maps {folder}: holds {len(found)} NIfTI files; at least {at_least} needed")
    return found


def split(names: list[str]) -> dict[str, list[str]]:
    """Train, calibration and test by name, in order; every part has at least one.

    Examples
    --------
    >>> {part: len(members) for part, members in split([f"{i:02d}" for i in range(20)]).items()}
    {'train': 14, 'calibration': 3, 'test': 3}
    """
    held = max(1, round(SHARES["test"] * len(names)))
    return {
        "train": names[: -2 * held],
        "calibration": names[-2 * held : -held],
        "test": names[-held:],
    }


def aligned_structures(path: Path, threads: int) -> NDArray[np.uint8]:
    """`Structure` codes of a label map on the 1 mm lattice, its brain affinely aligned to the atlas.

    Parameters
    ----------
    path
        FreeSurfer-style labels, any grid.
    threads
        For the registration.

    Returns
    -------
    ndarray
        (160, 192, 176) uint8.

    Raises
    ------
    ParticipantError
        If the file is unreadable, not 3D, or no label map.
    """
    from pds_bids.prep.atlas import template
    from pds_bids.prep.engine import AFFINE, RIGID, estimate_linear
    from pds_bids.prep.resampling import coarsen, resample
    from pds_bids.simulation.anatomy import FINE_GRID, Structure, structure_codes, with_callosum
    from pds_bids.simulation.physics import t1_contrast

    labels = load_volume(path)
    whole = np.rint(labels.data).astype(np.int64).clip(min=0)
    codes = structure_codes(whole)
    known = structure_codes(np.unique(whole)) != Structure.AIR
    if (whole != labels.data).any() or known.mean() < LEAST_KNOWN:
        raise ParticipantError(
            path,
            "is no map of FreeSurfer's labels",
            "leave nothing but segmentations in --label-maps",
        )
    brain = labels.like(t1_contrast()[codes])
    matrix = estimate_linear(template(), coarsen(brain, 2.0), [RIGID, AFFINE], PrepConfig(threads=threads))
    fine = resample(
        Volume(codes.astype(np.float32), labels.affine),
        FINE_GRID,
        matrix,
        "nearest",
        space=MODEL_SPACE,
    )
    return with_callosum(fine.data.round().astype(np.uint8))


def template_anatomy() -> NDArray[np.uint8]:
    """`Structure` codes of the ICBM template on the 1 mm lattice."""
    from pds_bids.prep.atlas import tissue_probabilities
    from pds_bids.simulation.anatomy import FINE_GRID
    from pds_bids.simulation.icbm import structures_from_tissues

    gm, wm, brain = tissue_probabilities(FINE_GRID)
    return structures_from_tissues(gm.data, wm.data, brain.data > 0.5)
