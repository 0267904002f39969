"""What a user reads when ANTs gives up: the file at fault or a full disk, never a traceback."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pds_bids.core.errors import ParticipantError, TemporaryError
from pds_bids.prep.scratch import scratch_parent

MIN_FREE_MB = 50.0
"""ANTs does not say why it failed; with less than this left, a full disk is the likely reason."""

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def failures_of(what: Path | str, notes: tuple[str, ...] = ()) -> Iterator[None]:
    """Name the image in every failure of ANTs inside the block, and add what is odd about its header.

    Parameters
    ----------
    what
        The image that is worked on.
    notes
        Appended to the fault of any `ParticipantError`.

    Raises
    ------
    ParticipantError
        For a failure of ANTs.
    TemporaryError
        If the disk is full.
    """
    try:
        yield
    except ParticipantError as error:
        if not notes:
            raise
        fault = f"{error.fault} ({'; '.join(notes)})"
        raise ParticipantError(error.path, fault, error.remedy) from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise _disk_full(Path(error.filename or scratch_parent())) from error
        raise
    except RuntimeError as error:
        folder = scratch_parent()
        if shutil.disk_usage(folder).free < MIN_FREE_MB * 2**20:
            raise _disk_full(folder) from error
        fault = "; ".join((f"the registration failed ({error})", *notes))
        remedy = "check that the image shows a whole head and that its affine is right"
        raise ParticipantError(what, fault, remedy) from error


def _disk_full(folder: Path) -> TemporaryError:
    return TemporaryError(f"{folder}: the disk is full; free some and run again, finished work is kept")
