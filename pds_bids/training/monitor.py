"""Who watches a training: each is told of every step, and may look at images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.modality import Modality

Look = Callable[[], Tensor]
"""Makes (M, 3, X, Y, Z): source, target and estimate in [-1, 1], by the modality that is synthesised."""


@dataclass(frozen=True)
class Report:
    """One step: how many are done, the loss of this one, the pairs in it and the seconds it took.

    `progress` is the share of the stage that is done, and `seconds_left` what the rest of it will take.
    """

    stage: str
    step: int
    progress: float
    loss: float
    learning_rate: float
    pairs: int
    seconds: float
    seconds_left: float


class Monitor(Protocol):
    """Told of every step by the process that leads."""

    def __call__(self, report: Report, look: Look) -> None:
        """Take note; `look` costs as much as a step."""
        ...


class Timer:
    """True when called so many seconds or more after it was made or last true."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._last = seconds, time.monotonic()

    def __call__(self) -> bool:
        """Whether it is time again."""
        due = time.monotonic() - self._last >= self.seconds
        if due:
            self._last = time.monotonic()
        return due


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock_text(3725.4)
    '1:02:05'
    """
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"


@dataclass
class Lines:
    """A line now and then, for logs: what happened on average since the line before."""

    log: Callable[[str], None]
    timer: Timer = field(default_factory=lambda: Timer(30))
    _since: list[Report] = field(default_factory=list)

    def __call__(self, report: Report, look: Look) -> None:
        """Write a line at the first step, and where one is due."""
        self._since.append(report)
        if self.timer() or report.step == 1:
            loss = sum(r.loss for r in self._since) / len(self._since)
            speed = sum(r.pairs for r in self._since) / max(sum(r.seconds for r in self._since), 1e-9)
            self.log(
                f"{report.stage}: step {report.step}, {report.progress:.1%}, loss {loss:.4f}, "
                f"{speed:.2f} pairs/s, {clock_text(report.seconds_left)} left"
            )
            self._since.clear()


@dataclass
class Board:
    """Scalars at every step and images now and then, for TensorBoard.

    Attributes
    ----------
    writer
        A `torch.utils.tensorboard.SummaryWriter`, or whatever has its `add_scalar` and `add_image`.
    timer
        When an image is due.
    """

    writer: Any
    timer: Timer = field(default_factory=lambda: Timer(300))

    def __call__(self, report: Report, look: Look) -> None:
        """Write loss, learning rate and speed; where they are due, the middle slices of both directions."""
        speed = report.pairs / max(report.seconds, 1e-9)
        scalars = {"loss": report.loss, "learning rate": report.learning_rate, "pairs per second": speed}
        for name, value in scalars.items():
            self.writer.add_scalar(f"{report.stage}/{name}", value, report.step)
        if self.timer():
            for modality, volumes in zip(Modality, look(), strict=True):
                tag = f"{report.stage}/{modality.value}: source, target, estimate"
                self.writer.add_image(tag, middle_slices(volumes), report.step)


def middle_slices(volumes_NXYZ: Tensor) -> Tensor:
    """Middle slices along the three axes, side by side: a row for each volume.

    Parameters
    ----------
    volumes_NXYZ
        In [-1, 1].

    Returns
    -------
    Tensor
        (1, N H, W) in [0, 1], on the CPU, front and top upwards.
    """
    height = max(volumes_NXYZ.shape[2:])
    slices = [volumes_NXYZ.select(axis, volumes_NXYZ.shape[axis] // 2) for axis in (1, 2, 3)]
    panels = [F.pad(s.mT.flip(1), (0, 0, 0, height - s.shape[2]), value=-1.0) for s in slices]
    rows = torch.cat(panels, dim=2).float().cpu()
    return (rows.flatten(0, 1)[None] + 1).div(2).clamp(0, 1)
