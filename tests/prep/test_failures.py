import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pds_bids.core.errors import ParticipantError, TemporaryError
from pds_bids.prep.failures import failures_of

SERIES = Path("sub-01_bold.nii.gz")


def test_a_failure_of_ants_names_the_series():
    with (
        pytest.raises(ParticipantError, match=r"sub-01_bold.*registration failed \(code 1\); odd; check"),
        failures_of(SERIES, ("odd",)),
    ):
        raise RuntimeError("code 1")


def test_ants_fails_on_a_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 * 2**20))
    with pytest.raises(TemporaryError, match="disk is full"), failures_of(SERIES):
        raise RuntimeError("code 1")


def test_only_lack_of_space_is_temporary():
    with pytest.raises(TemporaryError, match="work: the disk is full"), failures_of(SERIES):
        raise OSError(errno.ENOSPC, "No space left on device", "work")
    with pytest.raises(PermissionError), failures_of(SERIES):
        raise PermissionError(errno.EACCES, "no", "work")


def test_notes_join_the_fault_of_other_errors():
    with pytest.raises(ParticipantError) as caught, failures_of(SERIES, ("no affine",)):
        raise ParticipantError("other.nii", "covers 35 %", "rescan")
    assert str(caught.value) == "other.nii: covers 35 % (no affine); rescan"
