"""One run at a time may write a visit."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pds_bids.bids.discovery import visit_folder
from pds_bids.core.errors import CannotWriteError, ParticipantError

PATIENCE_S = 600.0
"""Longer than most visits take, and than a file server takes to notice that a lock's holder died."""

_POLL_S = 0.5

logger = logging.getLogger(__name__)


@contextmanager
def visit_lock(
    out: Path, subject: str, session: str | None, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Hold a visit's lock; the operating system releases it when the process ends, however that happens.

    Parameters
    ----------
    patience_s
        How long to wait while another process holds it, in seconds: a job that was put back, or a task whose
        worker was given up, may start before the first one has ended.

    Raises
    ------
    ParticipantError
        If another run still holds it then.
    CannotWriteError
        If the file system knows no locks.
    """
    folder = visit_folder(out, subject, session)
    path = folder / "log" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        if not _locked(stream):
            logger.warning("%s: another run is writing to it; waiting for that run", folder)
            until = time.monotonic() + patience_s
            while not _locked(stream):
                if time.monotonic() > until:
                    raise ParticipantError(
                        folder,
                        "another run is writing to it",
                        "wait for that run, or use another output folder",
                    )
                time.sleep(_POLL_S)
        yield


def _locked(stream: TextIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise CannotWriteError(
            f"{stream.name}: cannot be locked ({error}); mount that file system with flock, or use another "
            "output folder"
        ) from error
    return True
