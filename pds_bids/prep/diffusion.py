"""A DWI series to the mean of its shell nearest b = 1000 s/mm2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.prep.reduced import Choose, Reduced, reduce_volumes
from pds_bids.prep.series import open_series

B0_LIMIT = 50.0
TARGET_B = 1000.0
SHELL_WIDTH = 100.0
TRAINED_B = (700.0, 1300.0)
MIN_DIRECTIONS = 6
UNIT_TOLERANCE = 0.1


@dataclass(frozen=True)
class Gradients:
    """A checked gradient table.

    Attributes
    ----------
    bvals
        (N,) s/mm2.
    bvecs
        (N, 3) unit vectors, zero where b = 0.
    warnings
        What had to be put right.
    """

    bvals: NDArray[np.float64]
    bvecs: NDArray[np.float64]
    warnings: tuple[str, ...]


def reduce_dwi(path: Path, bval: Path, bvec: Path, config: PrepConfig, choose: Choose = list) -> Reduced:
    """Mean over the diffusion-weighted volumes of one shell.

    Volumes without diffusion weighting stay out: averaged together the contrasts of b0 and b1000 cancel.

    Parameters
    ----------
    path
        4D NIfTI.
    bval, bvec
        Its gradient table in FSL's format.
    choose
        Given the volumes of the shell.

    Raises
    ------
    ParticipantError
        Naming the file, if the series or its table is unusable, or has no diffusion weighting.
    """
    series = open_series(path)
    gradients = read_gradients(bval, bvec, series.n_volumes)
    weighted = gradients.bvals > B0_LIMIT
    if not weighted.any():
        raise ParticipantError(bval, "only b = 0 volumes", "a diffusion-weighted series is needed")
    centre, shell = choose_shell(gradients.bvals)
    members = choose(shell)
    directions = count_directions(gradients.bvecs[members])
    facts = {
        "modality": "dwi",
        "shell_b": round(centre),
        "n_directions": directions,
        "n_b0": int((~weighted).sum()),
    }
    warnings = list(gradients.warnings)
    if not TRAINED_B[0] <= centre <= TRAINED_B[1]:
        warnings.append(
            f"the shell nearest b = 1000 has b = {centre:.0f} s/mm2: contrast differs from training"
        )
    if directions < MIN_DIRECTIONS:
        warnings.append(f"only {directions} gradient direction(s): the mean depends on fibre orientation")
    if weighted.all():
        warnings.append("no b = 0 volume (not needed for the mean)")
    return reduce_volumes(series, members, facts, warnings, config)


def choose_shell(bvals: NDArray[np.float64]) -> tuple[float, list[int]]:
    """The shell nearest b = 1000: its mean b-value, and which volumes belong to it.

    Examples
    --------
    >>> choose_shell(np.array([0.0, 995.0, 1005.0, 2000.0]))
    (1000.0, [1, 2])
    """
    weighted = bvals > B0_LIMIT
    distance = np.where(weighted, np.abs(bvals - TARGET_B), np.inf)
    nearest = bvals[np.argmin(distance)]
    members = np.flatnonzero(weighted & (np.abs(bvals - nearest) <= SHELL_WIDTH))
    return float(bvals[members].mean()), [int(i) for i in members]


def count_directions(bvecs: NDArray[np.float64]) -> int:
    """Number of different gradient axes (a direction and its opposite are one), to within 3 degrees."""
    distinct: list[NDArray[np.float64]] = []
    for vector in bvecs:
        if all(abs(vector @ other) < np.cos(np.deg2rad(3.0)) for other in distinct):
            distinct.append(vector)
    return len(distinct)


def read_gradients(bval: Path, bvec: Path, n_volumes: int) -> Gradients:
    """Read and check a gradient table.

    Parameters
    ----------
    bval, bvec
        Text files: N b-values, and 3 rows of N components (N rows of 3 are turned round, with a warning).
    n_volumes
        N, from the image.

    Raises
    ------
    ParticipantError
        If a file is missing, not numeric, not finite, negative, of another length, or not of unit vectors.
    """
    bvals = _read_numbers(bval).ravel()
    bvecs = _read_numbers(bvec)
    warnings = []
    if bvals.size != n_volumes:
        raise _bad_table(bval, f"has {bvals.size} b-values for {n_volumes} volumes")
    if (bvals < 0).any():
        raise _bad_table(bval, "has negative b-values")
    if bvecs.shape == (n_volumes, 3) and n_volumes != 3:
        warnings.append(f"{bvec.name} was transposed: one row per volume")
    elif bvecs.shape == (3, n_volumes):
        bvecs = bvecs.T
    else:
        rows, columns = bvecs.shape
        raise _bad_table(bvec, f"has {rows} rows and {columns} columns, needs 3 rows and {n_volumes} columns")
    lengths = np.linalg.norm(bvecs, axis=1)
    wrong = (bvals > B0_LIMIT) & (np.abs(lengths - 1) > UNIT_TOLERANCE)
    if wrong.any():
        raise _bad_table(bvec, f"has {wrong.sum()} diffusion directions that are not unit vectors")
    return Gradients(bvals, bvecs / np.maximum(lengths, 1e-12)[:, None], tuple(warnings))


def _read_numbers(path: Path) -> NDArray[np.float64]:
    try:
        rows = [line.replace(",", " ").split() for line in path.read_text().splitlines() if line.strip()]
        numbers = np.array([[float(word) for word in row] for row in rows])
    except FileNotFoundError as error:
        raise ParticipantError(path, "is missing", "add it beside the image") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _bad_table(path, "is not a table of numbers") from error
    if numbers.ndim != 2 or numbers.size == 0:
        raise _bad_table(path, "is empty")
    if not np.isfinite(numbers).all():
        raise _bad_table(path, "has NaN or infinite entries")
    return numbers


def _bad_table(path: Path, fault: str) -> ParticipantError:
    return ParticipantError(path, fault, "export the gradient table again with dcm2niix")
