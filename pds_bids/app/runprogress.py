"""How a run is shown: a bar with the time left on a terminal, a line per step in a log, quiet in an array."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pds_bids.app.steps import Step

if TYPE_CHECKING:
    from rich.progress import Progress

ARRAY_VARIABLES = ("SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX", "PBS_ARRAYID", "SGE_TASK_ID", "LSB_JOBINDEX")
NO_ARRAY = ("", "0", "undefined")
"""What SGE and LSF say in jobs that are no arrays (Slurm counts from 0, too: there the name is enough)."""


class Lines:
    """Plain lines. One per step, unless `quiet`.

    Parameters
    ----------
    of
        Visits of the run.
    quiet
        Say how visits end, and nothing of their steps.
    """

    def __init__(self, of: int, *, quiet: bool = False) -> None:
        self.of, self.quiet = of, quiet
        self._start = time.monotonic()
        self._ended = 0
        self._under_way: dict[str, float] = {}

    def step(self, step: Step) -> None:
        """A visit began a step."""
        self._under_way[step.visit] = step.done
        if not self.quiet:
            self.print(f"{step.visit}: {step.name}{self._time_left()}", sys.stdout)

    def end(self, visit: str, line: str, *, well: bool) -> None:
        """A visit ended, and how."""
        self._under_way.pop(visit, None)
        self._ended += 1
        self.print(f"[{self._ended}/{self.of}] {line}", sys.stdout if well else sys.stderr)

    @property
    def done(self) -> float:
        """Visits that ended, and the shares of those under way."""
        return self._ended + sum(self._under_way.values())

    def print(self, line: str, stream: TextIO) -> None:
        """Write a line."""
        print(line, file=stream, flush=True)

    def _time_left(self) -> str:
        """As if every step took the same time; nothing where nothing is known yet."""
        if not self.done:
            return ""
        seconds = (time.monotonic() - self._start) * (self.of - self.done) / self.done
        return f" (about {max(1, round(seconds / 60))} min left)"


class Bar(Lines):
    """A bar below the lines of visits that ended; the steps under way stand in it."""

    def __init__(self, of: int, progress: Progress) -> None:
        super().__init__(of)
        self._progress = progress
        self._task = progress.add_task("", total=of)

    def step(self, step: Step) -> None:
        """Show the step, and how far the run is."""
        self._under_way[step.visit] = step.done
        self._progress.update(self._task, completed=self.done, description=f"{step.visit}: {step.name}")

    def end(self, visit: str, line: str, *, well: bool) -> None:
        """Print the line above the bar."""
        super().end(visit, line, well=well)
        self._progress.update(self._task, completed=self.done, description="")

    def print(self, line: str, stream: TextIO) -> None:
        """Write a line above the bar, which says nothing of the stream."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def shown(of: int) -> Iterator[Lines]:
    """The way that fits where the output goes.

    Parameters
    ----------
    of
        Visits of the run.
    """
    if not sys.stdout.isatty():
        yield Lines(of, quiet=in_array(os.environ))
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    now = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), now)
    with Progress(*columns) as progress:
        yield Bar(of, progress)


def in_array(environment: Mapping[str, str]) -> bool:
    """Whether this is one task of a job array, whose logs hold one participant each.

    >>> in_array({"SLURM_ARRAY_TASK_ID": "0"}), in_array({"SGE_TASK_ID": "undefined"}), in_array({})
    (True, False, False)
    """
    slurm, *others = ARRAY_VARIABLES
    return slurm in environment or any(environment.get(name, "") not in NO_ARRAY for name in others)
