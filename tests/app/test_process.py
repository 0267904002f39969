"""How a visit's end is written down."""

from __future__ import annotations

import json
from pathlib import Path

from pds_bids.app.process import log_folder, record
from pds_bids.bids.inventory import Visit, inventory
from pds_bids.core.config import Config


def chosen(config: Config) -> Visit:
    return inventory(config.bids_dir, config.selection)[0]


def test_what_was_done_before_a_worker_was_lost_is_told_as_it_was(raw: Path, tmp_path: Path) -> None:
    config = Config(raw, tmp_path / "out", tmp_path)
    done = record(config, chosen(config), "run", "complete", "synthesised; warning: no T1w", 31.0)

    again = record(config, chosen(config), "run", "already-complete", "")

    assert again == done
    kept = json.loads((log_folder(config, chosen(config), "run") / "status.json").read_text())
    assert kept["status"] == "complete"
    assert record(config, chosen(config), "later", "already-complete", "").status == "already-complete"
