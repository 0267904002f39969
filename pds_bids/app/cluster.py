"""The visits of a run on a Dask cluster: each is a task of its own (docs/adr/0013-dask.rst)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pds_bids import __version__
from pds_bids.app.crew import Crew
from pds_bids.app.process import Result, process, settle
from pds_bids.app.steps import Step
from pds_bids.bids.inventory import Visit
from pds_bids.core.config import Config
from pds_bids.core.errors import TemporaryError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from distributed import Client

CPU, GPU = "CPU", "GPU"
"""Resources that workers may offer: where one does, visits ask for the first, syntheses for the second."""

CONNECT_S = 20
"""Longest wait for the scheduler, in seconds."""

_one_visit = threading.Lock()
"""In a worker: settings of ANTs and of matplotlib belong to the process, not to one of its threads."""

logger = logging.getLogger(__name__)


@contextmanager
def cluster_crew(scheduler: str) -> Iterator[Crew]:
    """The workers of a cluster that is there already, and stays when the run is over.

    Parameters
    ----------
    scheduler
        Its address, or its scheduler file.

    Raises
    ------
    UsageError
        If Dask is not installed, or the workers do not fit this program.
    TemporaryError
        If no scheduler answers.
    """
    with _connected(scheduler) as client:
        from distributed import KilledWorker

        topic, told = f"pds-bids-{uuid4().hex}", SimpleQueue[Step]()

        def steps() -> Iterator[Step]:
            while not told.empty():
                yield told.get()

        client.subscribe_topic(topic, lambda event: told.put(Step(**event[1]["step"])))
        _await_workers(client)
        executor = client.get_executor(pure=False, resources={CPU: 1} if offering(client, CPU) else None)

        def submit(config: Config, visit: Visit, run_id: str) -> Future[Result]:
            job: Future[Result] = executor.submit(_process, config, visit, run_id, topic, __version__)
            return job

        try:
            yield Crew(submit, steps, (KilledWorker,))
        except CancelledError as error:
            raise TemporaryError(
                f"--scheduler {scheduler}: was lost; start it, and run the same command again to resume"
            ) from error
        except ModuleNotFoundError as error:
            raise UsageError(
                f"--scheduler {scheduler}: its Python has no {error.name}; start scheduler and workers in "
                "the environment that pds-bids is installed in"
            ) from error
        finally:
            executor.shutdown(wait=False)  # cancels what has not begun


@contextmanager
def _connected(scheduler: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise UsageError("--scheduler needs Dask; install it with: pip install 'pds-bids[hpc]'") from error
    try:
        path = Path(scheduler)
        address = json.loads(path.read_text())["address"] if path.is_file() else scheduler
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:  # of which a timeout is one
        raise TemporaryError(
            f"--scheduler {scheduler}: no scheduler answers; start it, or name the one that runs"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--scheduler {scheduler}: is neither an address nor a scheduler file; write tcp://HOST:8786"
        ) from error
    with client:
        yield client


def offering(client: Client, resource: str) -> set[str]:
    """Addresses of the workers that offer a resource."""
    return {address for address, worker in _workers(client).items() if worker["resources"].get(resource)}


def _workers(client: Client) -> dict[str, Any]:
    """By address. Asked of the scheduler: what the client remembers of them, its own thread overwrites."""
    scheduler: Any = client.scheduler
    theirs: dict[str, Any] = client.sync(scheduler.identity, n_workers=-1)["workers"]
    return theirs


def _await_workers(client: Client) -> None:
    """What workers offer is known when the first one is there."""
    if not _workers(client):
        logger.warning("the cluster has no worker yet; waiting for one")
        client.wait_for_workers(1)
    theirs = _workers(client).values()
    if any(worker["nthreads"] > 1 and not worker["resources"].get(GPU) for worker in theirs):
        logger.warning(
            "a worker does one visit at a time, however many threads it has; start as many workers as there "
            "are CPUs, each with --nthreads 1"
        )


def _process(config: Config, visit: Visit, run_id: str, topic: str, version: str) -> Result:
    """In a worker: one visit.

    Raises
    ------
    UsageError
        If the worker does not see the files, or would not do what the run expects.
    """
    from distributed import get_worker

    from pds_bids.app.sharedgpu import load_shared

    worker = get_worker()
    if version != __version__:
        raise UsageError(f"the workers have pds-bids {__version__}, and this is {version}; use one version")
    for folder in (config.bids_dir, config.output_dir):
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: is not seen by the worker {worker.address}; use folders that all machines share"
            )

    def tell(step: Step) -> None:
        worker.log_event(topic, {"step": asdict(step)})

    with _one_visit:
        settle(config)
        return process(config, visit, run_id, tell, load_shared)
