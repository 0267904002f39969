"""The steps of one visit: told as they begin, and measured where `--resource-monitor` asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pds_bids.bids.writing import write_text

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""proc(5): forget the peak resident set size so far."""


@dataclass(frozen=True)
class Step:
    """What a visit has begun to do.

    Attributes
    ----------
    visit
        Its label.
    name
        In words.
    done
        Share of the visit's steps that lie behind it, 0 to 1.
    """

    visit: str
    name: str
    done: float


Tell = Callable[[Step], None]


def silent(step: Step) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Usage:
    """What a step took.

    Attributes
    ----------
    step
        Its name.
    seconds, cpu_seconds
        On the clock, and of all threads of the process.
    peak_mb
        Most memory of the process during the step (where the peak cannot be reset, until its end), MB.
    gpu_peak_mb
        Most GPU memory during the step, MB; 0 without a GPU.
    """

    step: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    gpu_peak_mb: float


@dataclass
class Steps:
    """Those of one visit.

    Attributes
    ----------
    expected
        How many there will be, unless something goes wrong.
    now
        The one that began last.
    usages
        Of those that ended.
    """

    visit: str
    tell: Tell = silent
    expected: int = 1
    now: str = "planning"
    usages: list[Usage] = field(default_factory=list)
    _begun: int = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Tell that a step begins, and measure it."""
        self.tell(Step(self.visit, name, min(1.0, self._begun / self.expected)))
        self._begun += 1
        self.now = name
        _reset_peaks()
        start, cpu = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu
            self.usages.append(Usage(name, seconds, cpu_seconds, _peak_mb(), _gpu_peak_mb()))


def write_usages(path: Path, usages: Sequence[Usage]) -> None:
    """Write a table, one row per step."""
    rows = [asdict(usage).values() for usage in usages]
    lines = ["\t".join(column.name for column in fields(Usage))]
    lines += ["\t".join(f"{v:.1f}" if isinstance(v, float) else str(v) for v in row) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def _reset_peaks() -> None:
    with suppress(OSError):  # not Linux, or not allowed: the peak so far is told
        _CLEAR_REFS.write_text(_RESET_PEAK)
    if gpu := _cuda():
        gpu.reset_peak_memory_stats()


def _peak_mb() -> float:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return next(float(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("VmHWM"))


def _gpu_peak_mb() -> float:
    gpu = _cuda()
    return gpu.max_memory_allocated() / 1e6 if gpu else 0.0


def _cuda() -> Any:
    """`torch.cuda` where this process uses a GPU; asking does not make it use one."""
    import torch

    return torch.cuda if torch.cuda.is_initialized() else None
