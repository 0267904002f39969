"""What every test may use: the shared data where it is present, and quiet, repeatable defaults."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch or ITK is loaded. One thread: the only number at which ANTs repeats itself bit for bit.
for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(name, "1")

with contextlib.suppress(ModuleNotFoundError):  # absent on a bare GPU node, where only `-m gpu` runs
    from hypothesis import settings

    settings.register_profile("pds-bids", deadline=None)  # a deadline fails on a busy machine, not on a bug
    settings.load_profile("pds-bids")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans and label maps beside the checkout (never in the package); skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the development data, absent here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Temporary files of all tests, and of the processes that they start, lie where pytest clears up."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder
