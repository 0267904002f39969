"""The calls of antsRegistration: what is estimated, how hard, from which seed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import Volume
from pds_bids.prep.conversion import Matrix, read_matrix, to_ants, write_matrix
from pds_bids.prep.scratch import linked, scratch_folder
from pds_bids.prep.timestamps import erase_times


@dataclass(frozen=True)
class Stage:
    """One `--transform` of antsRegistration with its multi-resolution schedule.

    Attributes
    ----------
    transform
        As ANTs spells it, e.g. `Rigid[0.1]`.
    metric
        Name of the metric: `MI`, `GC`, `CC`.
    bins
        Histogram bins of `MI`, or radius in voxels of `CC`.
    iterations, shrink, smooth_mm
        One value per level, coarse to fine.
    sampling
        Fraction of the fixed voxels looked at, on a regular lattice.
    threshold, window
        A level ends early where the last `window` values of the metric are as flat as `threshold`.
    """

    transform: str
    metric: str
    bins: int
    iterations: tuple[int, ...]
    shrink: tuple[int, ...]
    smooth_mm: tuple[float, ...]
    sampling: float = 1.0
    threshold: float = 1e-6
    window: int = 10

    def arguments(self, fixed: object, moving: object) -> list[object]:
        """The stage as command-line arguments; the images are passed as pointers."""
        import ants

        images = ",".join(ants.internal.get_pointer_string(image) for image in (fixed, moving))
        sampling = f"Regular,{self.sampling}" if self.sampling < 1 else "None"
        return [
            "--transform", self.transform,
            "--metric", f"{self.metric}[{images},1,{self.bins},{sampling}]",
            "--convergence", f"[{_by_level(self.iterations)},{self.threshold:g},{self.window}]",
            "--shrink-factors", _by_level(self.shrink),
            "--smoothing-sigmas", _by_level(self.smooth_mm) + "mm",
        ]  # fmt: skip


RIGID = Stage("Rigid[0.1]", "MI", 32, (100, 50), (4, 2), (4.0, 2.0), sampling=0.25)
FINE_RIGID = Stage("Rigid[0.1]", "MI", 32, (50, 30), (2, 1), (2.0, 1.0), sampling=0.5)
SIMILARITY = Stage("Similarity[0.1]", "MI", 32, (50,), (4,), (4.0,), sampling=0.25)
AFFINE = Stage("Affine[0.1]", "MI", 32, (100, 50), (4, 2), (4.0, 2.0), sampling=0.25)
FINE_AFFINE = Stage("Affine[0.1]", "MI", 32, (50,), (2,), (2.0,), sampling=0.5)
SYN = Stage("SyN[0.1,3,0]", "MI", 32, (60, 60, 0), (4, 2, 1), (4.0, 2.0, 1.0))
"""The finest level only carries the field over: four iterations there take longer than twenty at 4 mm, and
bring no more (``benchmarks/registration.py``)."""
SLOPPY_SYN = Stage("SyN[0.2,3,0]", "MI", 32, (10, 0), (4, 1), (4.0, 1.0))


def schedule(config: PrepConfig, *stages: Stage) -> list[Stage]:
    """The stages as they are, or for a sloppy run each with its coarsest level alone."""
    if not config.sloppy:
        return list(stages)
    return [
        replace(
            stage, iterations=stage.iterations[:1], shrink=stage.shrink[:1], smooth_mm=stage.smooth_mm[:1]
        )
        for stage in stages
    ]


def _by_level(values: Sequence[float]) -> str:
    return "x".join(str(value) for value in values)


def set_threads(config: PrepConfig) -> None:
    """Limit ITK's threads. It reads the limit once per process, at its first filter: call this before."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(config.threads)


def estimate_linear(
    fixed: Volume,
    moving: Volume,
    stages: Sequence[Stage],
    config: PrepConfig,
    *,
    start: Matrix | None = None,
    fixed_mask: Volume | None = None,
) -> Matrix:
    """Register with linear stages.

    Parameters
    ----------
    fixed, moving
        Any two volumes.
    stages
        Run one after the other, each from where the last one ended.
    start
        (4, 4) moving world -> fixed world to begin with; None aligns the centres of mass.
    fixed_mask
        Where the metric is measured, on the grid of `fixed`; None means everywhere.

    Returns
    -------
    (4, 4) float64
        Moving world -> fixed world, RAS mm.
    """
    import ants

    set_threads(config)
    target, source = to_ants(fixed), to_ants(moving)
    with scratch_folder() as folder:
        prefix = folder / "linear"
        if start is None:
            images = ",".join(ants.internal.get_pointer_string(image) for image in (target, source))
            initial = f"[{images},1]"
        else:
            initial = str(write_matrix(np.linalg.inv(start), folder / "start.mat"))
        options = ["--initial-moving-transform", initial]
        if fixed_mask is not None:
            fixed.require(fixed_mask)
            inside = to_ants(fixed_mask).clone("unsigned char")
            options += ["--masks", f"[{ants.internal.get_pointer_string(inside)},NA]"]
        _run(options, stages, target, source, prefix, config)
        return np.linalg.inv(read_matrix(Path(f"{prefix}0GenericAffine.mat")))


def estimate_warp(
    fixed: Volume, moving: Volume, stages: Sequence[Stage], prefix: Path, config: PrepConfig
) -> tuple[Path, Path]:
    """Register two volumes that are already affinely aligned with a diffeomorphism.

    Returns
    -------
    tuple of Path
        Displacement fields `<prefix>0Warp.nii.gz` (moving to fixed) and `<prefix>0InverseWarp.nii.gz`.
    """
    set_threads(config)
    results = Path(f"{prefix}0Warp.nii.gz"), Path(f"{prefix}0InverseWarp.nii.gz")
    with scratch_folder() as folder:
        _run([], stages, to_ants(fixed), to_ants(moving), folder / prefix.name, config)
        for result in results:
            shutil.move(folder / result.name, result)
    return results


def mutual_information(fixed: Volume, moving: Volume, mask: Volume, config: PrepConfig) -> float:
    """Of two volumes on one grid inside a mask (Mattes 2003), nats; 0 where the second shows nothing."""
    import ants

    fixed.require(moving)
    if np.ptp(moving.data[mask.data > 0]) == 0:
        return 0.0
    set_threads(config)
    images = to_ants(fixed), to_ants(moving)
    return -float(ants.image_similarity(*images, "MattesMutualInformation", fixed_mask=to_ants(mask)))


def write_composite(transforms: Sequence[Path], path: Path) -> None:
    """Write a chain of transforms as one ITK composite, uncollapsed: the same bytes at any time of day.

    Parameters
    ----------
    transforms
        In the order of antsApplyTransforms: a point goes through the first one first.
    path
        Receives HDF5, whatever its name.
    """
    import ants

    # antsApplyTransforms wants an image to resample even when it is only to write the chain down.
    stand_in = ants.make_image((2, 2, 2)).clone("double")
    with scratch_folder() as folder:
        made = folder / "composite.h5"
        arguments: list[object] = ["-d", "3", "-i", stand_in, "-r", stand_in]
        arguments += ["-o", f"CompositeTransform[{made}]"]
        for transform in linked(transforms, folder):
            arguments += ["-t", str(transform)]
        arguments += ["-z", "1", "-v", "0", "--float", "0", "-e", "0", "-f", "0"]
        apply = ants.internal.get_lib_fn("antsApplyTransforms")
        if apply(ants.internal.process_arguments(arguments)) != 0 or not made.is_file():
            raise RuntimeError("ANTs could not write the composite transform")
        erase_times(made)
        shutil.copyfile(made, path)


def _run(
    options: list[str],
    stages: Sequence[Stage],
    fixed: object,
    moving: object,
    prefix: Path,
    config: PrepConfig,
) -> None:
    import ants

    arguments: list[object] = ["--dimensionality", "3", "--output", str(prefix), *options]
    for stage in stages:
        arguments += stage.arguments(fixed, moving)
    # ANTs takes a seed of 0 as "use the clock".
    arguments += ["--float", "1", "--random-seed", str(config.seed % (2**31 - 1) + 1)]
    ants.registration(arguments, None)
