"""The dry run says the same in three forms."""

from __future__ import annotations

import json
from pathlib import Path

from pds_bids.bids.inventory import Visit
from pds_bids.bids.plan import render_plan
from pds_bids.core.config import Selection
from pds_bids.core.modality import Modality

VISITS = [
    Visit("01", "a", frozenset({Modality.BOLD}), has_t1w=True, tasks=("rest",)),
    Visit("01", "b", frozenset({Modality.DWI}), has_t1w=True),
    Visit("02", None, frozenset(Modality), has_t1w=False),
    Visit("03", None, frozenset(), has_t1w=True),
    Visit("04", None, frozenset(), has_t1w=True, unreadable=(Path("sub-04/dwi/sub-04_dwi.nii.gz"),)),
]


def test_the_table_has_a_row_per_visit_and_a_sum() -> None:
    lines = render_plan(VISITS, Selection(), "table").splitlines()
    assert lines[0].split() == ["subject", "session", "bold", "dwi", "T1w", "synthesise", "remark"]
    assert lines[2].split() == ["sub-01", "ses-a", "yes", "missing", "yes", "dwi"]
    assert lines[4].split()[:6] == ["sub-02", "-", "yes", "yes", "no", "-"]
    assert lines[4].endswith("nothing to do: both were acquired (--evaluate synthesises and scores them)")
    assert lines[5].endswith("nothing to start from")
    assert lines[6].split()[:6] == ["sub-04", "-", "missing", "unfetched", "yes", "-"]
    assert lines[6].endswith("cannot be read (run `datalad get`, or restore it): sub-04_dwi.nii.gz")
    assert lines[-1] == "2 of 5 to synthesise"


def test_the_list_names_each_participant_with_work_once() -> None:
    assert render_plan(VISITS, Selection(), "list") == "01"
    assert render_plan(VISITS, Selection(evaluate=True), "list").split() == ["01", "02"]
    assert render_plan(VISITS[2:4], Selection(), "list") == ""


def test_what_was_not_asked_for_is_not_called_complete() -> None:
    lines = render_plan(VISITS, Selection(targets=(Modality.DWI,)), "table").splitlines()
    assert lines[3].split()[:6] == ["sub-01", "ses-b", "missing", "yes", "yes", "-"]
    assert lines[3].endswith("nothing to do: --target does not ask for what is missing")


def test_the_json_is_complete() -> None:
    records = json.loads(render_plan(VISITS, Selection(targets=(Modality.BOLD,)), "json"))
    assert [record["synthesise"] for record in records] == [[], ["bold"], [], [], []]
    assert records[0] == {
        "subject": "01",
        "session": "a",
        "acquired": ["bold"],
        "missing": ["dwi"],
        "t1w": True,
        "tasks": ["rest"],
        "synthesise": [],
        "complete": False,
        "unreadable": [],
        "unfetched": [],
        "odd": [],
    }


def test_what_is_complete_is_said_and_not_done_again() -> None:
    lines = render_plan(VISITS, Selection(), "table", done=VISITS[:1]).splitlines()
    assert lines[2].split() == ["sub-01", "ses-a", "yes", "missing", "yes", "-", "complete"]
    assert lines[3].split() == ["sub-01", "ses-b", "missing", "yes", "yes", "bold"]
    assert lines[-1] == "1 of 5 to synthesise"
    assert render_plan(VISITS, Selection(), "list", done=VISITS[:1]) == "01"
    assert render_plan(VISITS, Selection(), "list", done=frozenset(VISITS[:2])) == ""
    first, second, *_ = json.loads(render_plan(VISITS, Selection(), "json", done=VISITS[:1]))
    assert (first["complete"], first["synthesise"]) == (True, [])
    assert (second["complete"], second["synthesise"]) == (False, ["bold"])


def test_what_is_not_fetched_and_what_is_odd_is_said() -> None:
    link, odd = Path("sub-05/func/sub-05_task-rest_bold.nii.gz"), Path("sub-05/dwi/sub-06_dwi.nii.gz")
    visit = Visit("05", None, frozenset({Modality.DWI}), has_t1w=True, unreadable=(link,), odd=(odd,))
    line = render_plan([visit], Selection(), "table").splitlines()[2]
    assert line.split()[:6] == ["sub-05", "-", "unfetched", "yes", "yes", "-"]
    assert "datalad get" in line
    assert link.name in line
    assert line.endswith("not used, the name does not fit (rename it): sub-06_dwi.nii.gz")
    assert render_plan([visit], Selection(), "list") == ""
    (record,) = json.loads(render_plan([visit], Selection(), "json"))
    assert (record["unfetched"], record["odd"]) == (["bold"], [str(odd)])


def test_no_visits_at_all() -> None:
    assert render_plan([], Selection(), "table").endswith("0 of 0 to synthesise")
    assert render_plan([], Selection(), "json") == "[]"
