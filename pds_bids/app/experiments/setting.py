"""What every experiment is told, and the record that each leaves: one JSON, always of the same shape."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.app import evaluationpage
from pds_bids.app.testbed import provenance
from pds_bids.bids.writing import write_json
from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from pds_bids.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Setting:
    """Where an experiment takes place.

    Attributes
    ----------
    out
        JSON to write.
    label_maps
        Folder of label maps that people are simulated from; None where all subjects are real.
    model
        Name of bundled weights, or a checkpoint.
    n_subjects
        Simulated people to test on.
    seed
        Of every random choice.
    device
        `auto`, `cpu`, `cuda` or `cuda:N`.
    work
        Where people and what was computed of each are kept: a rerun makes only what is missing. None: beside
        `out`.
    """

    out: Path
    label_maps: Path | None = None
    model: str = "base"
    n_subjects: int = 24
    seed: int = 0
    device: str = "auto"
    work: Path | None = None

    def __post_init__(self) -> None:
        if self.out.suffix != ".json":
            raise UsageError(f"--out {self.out}: must end in .json")

    @property
    def folder(self) -> Path:
        """`work`, wherever it is."""
        return self.work or self.out.with_suffix(".work")

    @property
    def maps(self) -> Path:
        """`label_maps` of an experiment that cannot do without.

        Raises
        ------
        UsageError
            If there are none.
        """
        if self.label_maps is None:
            raise UsageError("--label-maps: this experiment simulates people; name a folder of label maps")
        return self.label_maps

    def checkpoint(self) -> Checkpoint:
        """The model, on the device, with all CPUs of this process to work with."""
        import torch

        from pds_bids.models.checkpoint import load_checkpoint
        from pds_bids.models.device import resolve_device

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        checkpoint = load_checkpoint(self.model)
        checkpoint.model.to(resolve_device(self.device))
        return checkpoint


@dataclass(frozen=True)
class Result:
    """What an experiment found.

    Attributes
    ----------
    experiment, title
        Its name, and a line on what it asks.
    findings
        Plain sentences, true by the numbers below; that there is no effect is one, too.
    tables
        By title; a value is a text, a number, None or [mean, low, high].
    charts
        `kind`, `title`, `caption` and `data` of each (see `report.charts`).
    """

    experiment: str
    title: str
    findings: list[str]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    charts: list[dict[str, Any]] = field(default_factory=list)


def write_result(result: Result, plan: Any, setting: Setting, checkpoint: Checkpoint) -> None:
    """Write the JSON of an experiment and its page, and print what was found.

    Parameters
    ----------
    plan
        A dataclass: what was asked for beyond the setting.
    """
    settings = {name: _plain(value) for name, value in (asdict(setting) | asdict(plan)).items()}
    about = provenance(settings, {setting.model: checkpoint}) | asdict(result)
    write_json(setting.out, about)
    evaluationpage.write(setting.out.with_suffix(".html"), about)
    print("\n".join(result.findings), flush=True)


def _plain(value: Any) -> Any:
    """As JSON knows it; of a path its name, for the machine it lies on is nobody's concern."""
    return value.name if isinstance(value, Path) else value
