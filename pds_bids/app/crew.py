"""Who does the visits of a run: this process, a pool of local ones, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from pds_bids.app.process import Result, process, record
from pds_bids.app.steps import Step, Tell
from pds_bids.app.workers import workers
from pds_bids.bids.inventory import Visit
from pds_bids.core.config import Config

LISTEN_S = 0.5
"""How often a crew is asked for its steps, in seconds."""

LOST = "each worker that took it was lost, most likely for lack of memory; give workers more, and run again"


@dataclass(frozen=True)
class Crew:
    """Processes, here or elsewhere, that share the visits of a run.

    Attributes
    ----------
    submit
        Hands over a visit; where it runs, and when, is the crew's affair.
    steps
        What was begun since the last call.
    lost
        How the future of a visit ends that took one process after the other with it; others go on.
    """

    submit: Callable[[Config, Visit, str], Future[Result]]
    steps: Callable[[], Iterator[Step]]
    lost: tuple[type[Exception], ...] = ()


def results(config: Config, visits: Sequence[Visit], run_id: str, tell: Tell) -> Iterator[Result]:
    """How each visit ended, as they end; what has not begun when the caller stops is not begun any more.

    Raises
    ------
    CannotWriteError, TemporaryError, UsageError
        What would go wrong for every visit.
    """
    if config.run.scheduler is None and 1 in (config.output.nprocs, len(visits)):
        for visit in visits:
            yield process(config, visit, run_id, tell)
        return
    with _crew(config) as crew:
        visit_of = {crew.submit(config, visit, run_id): visit for visit in visits}
        pending = set(visit_of)
        while pending:
            ended, pending = wait(pending, LISTEN_S, FIRST_COMPLETED)
            for step in crew.steps():
                tell(step)
            for job in ended:
                try:
                    yield job.result()
                except crew.lost:
                    yield record(config, visit_of[job], run_id, "failed", LOST)


@contextmanager
def _crew(config: Config) -> Iterator[Crew]:
    if config.run.scheduler is None:
        with local_crew(config.output.nprocs) as crew:
            yield crew
    else:
        from pds_bids.app.cluster import cluster_crew

        with cluster_crew(config.run.scheduler) as crew:
            yield crew


@contextmanager
def local_crew(processes: int) -> Iterator[Crew]:
    """Processes of this machine."""
    # Not a manager's queue: that lives in a server, which an early end would stop before the workers.
    told = get_context("spawn").SimpleQueue()

    def steps() -> Iterator[Step]:
        while not told.empty():
            yield told.get()

    with workers(processes, _tell_by, (told,)) as pool:
        yield Crew(lambda *visit: pool.submit(_process, *visit), steps)


_queues: list[Any] = []
"""In a worker: the one that its steps are told by."""


def _tell_by(queue: Any) -> None:
    _queues.append(queue)


def _process(config: Config, visit: Visit, run_id: str) -> Result:
    return process(config, visit, run_id, _queues[0].put)
