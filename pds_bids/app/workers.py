"""Processes that share the visits of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from pds_bids.core.errors import TemporaryError


@contextmanager
def workers(
    processes: int, begin: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes; what has not begun when the block is left is not begun any more.

    They are spawned: a forked process could not use a GPU that this one has so much as counted.

    Parameters
    ----------
    begin, given
        What each process does first, and its arguments.

    Raises
    ------
    TemporaryError
        If one of them was killed.
    """
    with ProcessPoolExecutor(processes, get_context("spawn"), begin, given) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise TemporaryError(
                "a worker was killed, most likely for lack of memory; lower --nprocs and rerun: it resumes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
