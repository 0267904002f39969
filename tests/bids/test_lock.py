from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pds_bids.bids.lock import visit_lock
from pds_bids.core.errors import ParticipantError


def test_a_visit_is_written_by_one_run_at_a_time(tmp_path: Path) -> None:
    with visit_lock(tmp_path, "01", None):
        with pytest.raises(ParticipantError, match="another run"), visit_lock(tmp_path, "01", None, 0.1):
            pass
        with visit_lock(tmp_path, "02", None):
            pass
    with visit_lock(tmp_path, "01", None):
        pass


def test_a_visit_waits_for_a_run_that_is_about_to_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = visit_lock(tmp_path, "01", None)
    first.__enter__()
    with ThreadPoolExecutor() as threads:
        second = threads.submit(lambda: visit_lock(tmp_path, "01", None, 60).__enter__())
        while "waiting for that run" not in caplog.text:
            time.sleep(0.01)
        assert not second.done()
        first.__exit__(None, None, None)
        second.result(timeout=30)
