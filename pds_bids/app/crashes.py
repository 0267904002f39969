"""A fault of the program itself, not of the data: kept in a file, and shown on the visit's page."""

from __future__ import annotations

import os
import shlex
import traceback
from contextlib import suppress
from pathlib import Path

from pds_bids.app.pages import visit_page
from pds_bids.app.provenance import SETTINGS, software_versions
from pds_bids.app.records import write_page
from pds_bids.bids.completion import marker_path
from pds_bids.bids.inventory import Visit
from pds_bids.bids.lock import visit_lock
from pds_bids.bids.writing import write_text
from pds_bids.core.config import Config
from pds_bids.report.page import Crash


def record_crash(config: Config, visit: Visit, log: Path, step: str, error: Exception) -> str:
    """Keep what is needed to report an unexpected exception and to try again.

    Parameters
    ----------
    log
        Folder of this run in the visit's log.
    step
        What was being done.

    Returns
    -------
    str
        One line that names the file.
    """
    file = log / f"crash-{os.getpid()}.txt"
    crash = Crash(
        step=step,
        traceback="".join(traceback.format_exception(error)),
        file=file.relative_to(config.output_dir).as_posix(),
        command=_command(config, visit, log),
    )
    versions = ", ".join(f"{name} {number}" for name, number in software_versions().items())
    write_text(file, f"{visit.label}, while {step}\n{versions}\nAgain: {crash.command}\n\n{crash.traceback}")
    with suppress(Exception):  # what befell the visit may befall its page: the file must do, others go on
        _show(config, visit, crash)
    said = " ".join(str(error).split())
    return f"unexpected {type(error).__name__} while {step}: {said}; please report {crash.file}"


def _show(config: Config, visit: Visit, crash: Crash) -> None:
    """On the visit's page, unless an earlier run completed the visit: those outputs keep theirs."""
    out = config.output_dir
    with visit_lock(out, visit.subject, visit.session, patience_s=0):
        if not marker_path(out, visit.subject, visit.session).exists():
            write_page(out, visit, visit_page(config, visit, [], [], crash))


def _command(config: Config, visit: Visit, log: Path) -> str:
    """What to type to run this visit again with the same settings."""
    whom = ["--participant-label", visit.subject]
    if visit.session:
        whom += ["--session-label", visit.session]
    places = [str(config.bids_dir), str(config.output_dir), "participant"]
    return shlex.join(["pds-bids", *places, *whom, "--config-file", str(log / SETTINGS)])
