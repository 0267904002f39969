"""Errors that name the file, the fault and the remedy, each with the exit code it ends the program with.

Exit codes follow sysexits.h where fMRIPrep does (see interface in docs/usage.rst).
"""

from __future__ import annotations

from pathlib import Path


class PdsError(Exception):
    """Base of every error a user can meet. `str(error)` is one line."""

    exit_code = 1


class UsageError(PdsError):
    """The command line contradicts itself or asks for what cannot be."""

    exit_code = 2


class NotBidsError(PdsError):
    """The input folder is not a BIDS dataset."""

    exit_code = 16


class NothingSelectedError(PdsError):
    """The filters select no participant."""

    exit_code = 18


class NoUsableParticipantError(PdsError):
    """No participant has a modality to start from."""

    exit_code = 66


class CannotWriteError(PdsError):
    """The output or work folder cannot be written."""

    exit_code = 73


class TemporaryError(PdsError):
    """Disk or GPU memory ran out: a rerun resumes."""

    exit_code = 75


class ParticipantError(PdsError):
    """One participant cannot be processed; the others go on.

    Parameters
    ----------
    path
        The file (or folder) at fault.
    fault
        What is wrong with it.
    remedy
        What the user can do about it.

    Examples
    --------
    >>> str(ParticipantError(Path("sub-01_dwi.nii.gz"), "no .bval beside it", "add the file"))
    'sub-01_dwi.nii.gz: no .bval beside it; add the file'
    """

    def __init__(self, path: Path | str, fault: str, remedy: str) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path, self.fault, self.remedy = Path(path), fault, remedy

    def __reduce__(self) -> tuple[type[ParticipantError], tuple[Path, str, str]]:
        # A worker process hands the error back pickled: its three parts must survive.
        return type(self), (self.path, self.fault, self.remedy)


class NoSourceError(ParticipantError):
    """A participant with neither modality: status `no-source`, not a failure."""


class GridMismatch(PdsError):
    """Two arrays that should share one grid do not."""
