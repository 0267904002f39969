"""How a training is shown: a bar on a terminal, lines in a log, and TensorBoard where it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.core.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pds_bids.training.monitor import Look, Monitor, Report


class Bar:
    """One bar for each stage, with the loss, the speed and the time left."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._loss: dict[str, float] = {}

    def __call__(self, report: Report, look: Look) -> None:
        """Move the bar of the stage."""
        from pds_bids.training.monitor import clock_text

        before = self._loss.get(report.stage, report.loss)
        self._loss[report.stage] = loss = 0.98 * before + 0.02 * report.loss
        figures: dict[str, Any] = {
            "step": report.step,
            "loss": f"{loss:.4f}",
            "speed": f"{report.pairs / max(report.seconds, 1e-9):.2f}",
            "left": clock_text(report.seconds_left),
        }
        if report.stage not in self._tasks:
            self._tasks[report.stage] = self.progress.add_task(report.stage, total=1.0, **figures)
        self.progress.update(self._tasks[report.stage], completed=report.progress, **figures)


@contextmanager
def _bar() -> Iterator[Bar]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    figures = "step {task.fields[step]}  loss {task.fields[loss]}  {task.fields[speed]} pairs/s"
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(figures),
        TextColumn("{task.fields[left]} left"),
    ) as progress:
        yield Bar(progress)


def tensorboard_writer(folder: Path) -> Any:
    """A `SummaryWriter`.

    Raises
    ------
    UsageError
        If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard: TensorBoard is not installed; pip install 'pds-bids[train]', or leave it out"
        ) from error
    return SummaryWriter(folder)


@contextmanager
def monitors(tensorboard: Path | None, leads: bool) -> Iterator[list[Monitor]]:
    """Those of one training.

    Parameters
    ----------
    tensorboard
        Folder for TensorBoard; None without it.
    leads
        Whether this process reports; the others have no monitors.

    Raises
    ------
    UsageError
        As `tensorboard_writer`.
    """
    from pds_bids.training.monitor import Board, Lines

    if not leads:
        yield []
        return
    with ExitStack() as stack:
        boards: list[Monitor] = []
        if tensorboard is not None:
            writer = tensorboard_writer(tensorboard)
            stack.callback(writer.close)
            boards.append(Board(writer))
        shown = stack.enter_context(_bar()) if sys.stdout.isatty() else Lines(_print)
        yield [shown, *boards]


def _print(line: str) -> None:
    print(line, flush=True)
