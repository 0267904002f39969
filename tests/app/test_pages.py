"""The page of a visit of which nothing could be made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pds_bids.app.pages import visit_page
from pds_bids.bids.inventory import Visit
from pds_bids.core.config import Config, PrepConfig
from pds_bids.core.modality import Modality
from pds_bids.report.page import render_participant

VISIT = Visit("01", None, frozenset({Modality.BOLD}), has_t1w=False)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "in", tmp_path / "out", tmp_path / "work")


def test_a_failure_has_a_page_with_its_cause(config: Config) -> None:
    html = render_participant(
        visit_page(config, VISIT, [], ["sub-01_bold.nii.gz: truncated; restore the file"])
    )
    assert "sub-01_bold.nii.gz: truncated; restore the file" in html
    assert 'class="banner' not in html


def test_settings_are_rows_and_no_python(config: Config) -> None:
    html = render_participant(visit_page(config, VISIT, [], []))
    rows = dict(re.findall(r"<dt>(.*?)</dt> <dd>(.*?)</dd>", html))
    assert rows["bids_dir"] == str(config.bids_dir)
    assert rows["output.spaces"] == "native, MNI152NLin2009aSym"
    assert rows["selection.targets"] == "func, dwi"
    assert rows["selection.participants"] == "n/a"  # an empty list
    assert not re.search(r"[{}\[\]]", "".join(rows.values()))


@pytest.mark.parametrize("sloppy", [True, False])
def test_a_test_is_marked(config: Config, sloppy: bool) -> None:
    coarse = Config(config.bids_dir, config.output_dir, config.work_dir, prep=PrepConfig(sloppy=sloppy))
    assert ('class="banner test"' in render_participant(visit_page(coarse, VISIT, [], []))) == sloppy
