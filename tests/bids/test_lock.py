from __future__ import annotations

from pathlib import Path

import pytest

from pds_bids.bids.lock import visit_lock
from pds_bids.core.errors import ParticipantError


def test_a_visit_is_written_by_one_run_at_a_time(tmp_path: Path) -> None:
    with visit_lock(tmp_path, "01", None):
        with pytest.raises(ParticipantError, match="another run"), visit_lock(tmp_path, "01", None):
            pass
        with visit_lock(tmp_path, "02", None):
            pass
    with visit_lock(tmp_path, "01", None):
        pass
