"""One run at a time may write a visit."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pds_bids.bids.discovery import visit_folder
from pds_bids.core.errors import ParticipantError


@contextmanager
def visit_lock(out: Path, subject: str, session: str | None) -> Iterator[None]:
    """Hold a visit's lock; the operating system releases it when the process ends, however that happens.

    Raises
    ------
    ParticipantError
        If another run holds it.
    """
    folder = visit_folder(out, subject, session)
    path = folder / "log" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ParticipantError(
                folder, "another run is writing to it", "wait for that run, or use another output folder"
            ) from None
        yield
