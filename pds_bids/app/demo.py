"""`pds-model demo`: a small simulated study, and the main job on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pds_bids.app import simulation
from pds_bids.core.config import Config, PrepConfig, SynthesisConfig
from pds_bids.core.modality import Modality

MISSING = (None, Modality.DWI, Modality.BOLD)
"""What each subject lacks: one is complete."""


def run(directory: Path, seed: int, threads: int) -> int:
    """Simulate `directory/bids`, run participant and group level into `directory/derivatives`.

    Returns
    -------
    int
        Exit code of the participant level.

    Raises
    ------
    CannotWriteError
        If `directory/bids` holds anything but this study.
    """
    from pds_bids.app import group, participant

    config = Config(
        bids_dir=directory / "bids",
        output_dir=directory / "derivatives",
        work_dir=directory / "work",
        prep=PrepConfig(threads=threads, seed=seed),
        synthesis=SynthesisConfig(seed=seed, threads=threads),
    )
    write_study(config.bids_dir, seed, threads)
    code = participant.run(config)
    group.run(config)
    for page in sorted(config.output_dir.glob("sub-*.html")):
        print(f"report: {page}", flush=True)
    return code


def write_study(bids: Path, seed: int, processes: int) -> None:
    """A BIDS dataset of three subjects, variants of the ICBM anatomy, without T1w images."""
    visits = simulation.Study(len(MISSING), ("oasis",), ("nc",), seed=seed).visits()
    incomplete = [replace(visit, missing=m) for visit, m in zip(visits, MISSING, strict=True)]
    simulation.simulate(bids, incomplete, t1w=False, processes=processes)
