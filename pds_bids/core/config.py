"""One frozen configuration; each part of the program is handed only its own section."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pds_bids.core.modality import Modality


@dataclass(frozen=True)
class Selection:
    """Which participants, sessions and files take part (labels without their `sub-`/`ses-` prefix)."""

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    task: str | None = None
    targets: tuple[Modality, ...] = tuple(Modality)
    evaluate: bool = False


@dataclass(frozen=True)
class PrepConfig:
    """How acquired series become one volume on the model grid."""

    threads: int = 1
    seed: int = 0
    sloppy: bool = False


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


@dataclass(frozen=True)
class Config:
    """Everything the command line says."""

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    selection: Selection = field(default_factory=Selection)
    prep: PrepConfig = field(default_factory=PrepConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
