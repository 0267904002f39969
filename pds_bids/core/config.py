"""One frozen configuration; each part of the program is handed only its own section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pds_bids.core.modality import Modality

Filters = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Kind of image (`bold`, `dwi`, `t1w`) to entity to the labels it may have, as in a BIDS filter file."""

Subset = Literal["preproc", "reports", "boilerplate"]
"""Part of the work that is done alone."""


@dataclass(frozen=True)
class Selection:
    """Which participants, sessions and files take part.

    Attributes
    ----------
    participants, sessions
        Labels without `sub-` and `ses-`; all where empty.
    task
        BOLD task to start from; None for the usual choice.
    targets
        Modalities to synthesise where they are missing.
    evaluate
        Synthesise also what was acquired, to score it.
    filters
        Which images may serve.
    derivatives
        Name and folder of datasets whose reference images are used instead of reducing a series again.
    database_dir
        Folder of a PyBIDS database to use, made where it is absent; None indexes in memory.
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    task: str | None = None
    targets: tuple[Modality, ...] = tuple(Modality)
    evaluate: bool = False
    filters: Filters = field(default_factory=dict)
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    database_dir: Path | None = None


@dataclass(frozen=True)
class PrepConfig:
    """How acquired series become one volume on the model grid.

    Attributes
    ----------
    threads
        CPU threads ANTs may use.
    seed
        Of its random sampling.
    sloppy
        Coarse registration, for tests.
    low_mem
        Keep the volumes of a series on disk, not in memory.
    """

    threads: int = 1
    seed: int = 0
    sloppy: bool = False
    low_mem: bool = False


class Sampler(StrEnum):
    """How a diffusion model's ODE from noise to an image is solved."""

    DDIM = "ddim"
    DPM = "dpm++"


@dataclass(frozen=True)
class SynthesisConfig:
    """How the missing volume is sampled.

    Attributes
    ----------
    model
        Name of a bundled checkpoint, or a path.
    num_samples
        Draws from the diffusion model; 0 gives the point estimate alone.
    steps
        Sampling steps of each draw.
    seed
        The user's `--random-seed`.
    device
        `auto`, `cpu`, `cuda` or `cuda:N`.
    threads
        CPU threads torch may use.
    """

    model: str = "base"
    num_samples: int = 0
    steps: int = 8
    seed: int = 0
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class OutputConfig:
    """What is written, and whether finished work is done again."""

    spaces: tuple[str, ...] = ("native", "MNI152NLin2009aSym")
    overwrite: bool = False
    stop_on_first_crash: bool = False
    nprocs: int = 1
    save_draws: bool = False


@dataclass(frozen=True)
class RunConfig:
    """How a run goes about its work.

    Attributes
    ----------
    only
        Do no more than this part.
    strict_qc
        What would be a warning about the scan is that participant's error.
    memory_mb
        Memory that all participants at once may take, MB; None where it is not limited.
    clean_work_dir
        Clear the work folder of what killed runs left there.
    resource_monitor
        Record time, CPU and peak memory of each step.
    scheduler
        Address or scheduler file of the Dask cluster that does the work; None: this machine does.
    """

    only: Subset | None = None
    strict_qc: bool = False
    memory_mb: int | None = None
    clean_work_dir: bool = False
    resource_monitor: bool = False
    scheduler: str | None = None


@dataclass(frozen=True)
class Config:
    """Everything the command line says, and the line itself, for the record."""

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    selection: Selection = field(default_factory=Selection)
    prep: PrepConfig = field(default_factory=PrepConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    run: RunConfig = field(default_factory=RunConfig)
    command: str = field(default="", compare=False)
