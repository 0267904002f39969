"""The group table: what it says of visits that several runs have dealt with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pds_bids.app import group
from pds_bids.app.scores import MAIN, METRICS, TEMPLATE
from pds_bids.bids.completion import discard, mark_complete
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError


def ended(out: Path, visit: str, run: str, status: str, message: str = "", **more: object) -> None:
    """What a run leaves when a visit ends."""
    finished = more.pop("finished", f"2026-01-01T00:00:{run}+00:00")
    content = {
        "visit": visit,
        "status": status,
        "message": message,
        "seconds": int(run),
        "finished": finished,
    }
    write_json(out / visit / "log" / run / "status.json", content | more)


def synthesised(out: Path, subject: str, session: str | None, run: str) -> None:
    """What a run leaves that synthesised a DWI."""
    visit = f"sub-{subject}" + (f"/ses-{session}" if session else "")
    volume = out / visit / "dwi" / f"sub-{subject}_desc-synth_trace.nii.gz"
    write_text(volume, "voxels")
    mark_complete(out, subject, session, "fingerprint", run, [volume])
    ended(out, visit, run, "complete", "synthesised mean dMRI (trace); warning: no T1w")


def table(out: Path) -> list[dict[str, str]]:
    group.run(Config(bids_dir=out / "gone", output_dir=out, work_dir=out))
    heads, *rows = ((out / "group_synthesis.tsv").read_text()).splitlines()
    return [dict(zip(heads.split("\t"), row.split("\t"), strict=True)) for row in rows]


@pytest.mark.parametrize("session", [None, "a"])
@pytest.mark.parametrize("later", ["already-complete", "nothing-missing", "not-asked-for"])
def test_the_run_that_made_the_volumes_tells(tmp_path: Path, session: str | None, later: str) -> None:
    synthesised(tmp_path, "01", session, "10")
    ended(tmp_path, "sub-01" + (f"/ses-{session}" if session else ""), "20", later)
    (row,) = table(tmp_path)
    assert row == {
        "participant_id": "sub-01",
        "session_id": f"ses-{session}" if session else "n/a",
        "status": "complete",
        "synthetic": "trace",
        "missing": "n/a",
        "message": "synthesised mean dMRI (trace); warning: no T1w",
        "seconds": "10",
        "flags": "n/a",
    }


def test_without_outputs_the_run_that_ended_last_tells(tmp_path: Path) -> None:
    ended(tmp_path, "sub-01", "10", "failed", "truncated", finished="2026-01-01T00:09:00+00:00")
    ended(tmp_path, "sub-01", "20", "nothing-missing")
    assert [(row["status"], row["message"]) for row in table(tmp_path)] == [("failed", "truncated")]


def test_a_failure_is_told_although_an_earlier_run_was_complete(tmp_path: Path) -> None:
    synthesised(tmp_path, "01", None, "10")
    discard(tmp_path, "01", None)
    ended(tmp_path, "sub-01", "20", "failed", "truncated")
    assert [(row["status"], row["synthetic"]) for row in table(tmp_path)] == [("failed", "n/a")]


def test_outputs_that_a_killed_run_discarded_are_not_called_complete(tmp_path: Path) -> None:
    synthesised(tmp_path, "01", None, "10")
    discard(tmp_path, "01", None)
    assert [(row["status"], row["seconds"]) for row in table(tmp_path)] == [("interrupted", "n/a")]


def test_one_visit_is_no_visits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended(tmp_path, "sub-01", "10", "nothing-missing")
    table(tmp_path)
    assert capsys.readouterr().out.startswith("1 visit: ")


def test_a_status_that_cannot_be_read_is_said_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(tmp_path, "sub-01", "10", "nothing-missing")
    for visit in ("sub-01", "sub-02"):
        write_text(tmp_path / visit / "log" / "20" / "status.json", "{")
    assert [row["participant_id"] for row in table(tmp_path)] == ["sub-01"]
    assert capsys.readouterr().err.count("cannot be read") == 2


def test_without_participants_there_is_no_group(tmp_path: Path) -> None:
    with pytest.raises(NoUsableParticipantError, match="run the participant level first"):
        table(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "null", "{}", '{"status": "complete"}'])
def test_a_status_without_what_it_should_say_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    write_text(tmp_path / "sub-01" / "log" / "20" / "status.json", content)
    assert table(tmp_path) == []
    assert capsys.readouterr().err.count("cannot be read") == 1


def test_a_first_run_that_was_killed_is_a_row(tmp_path: Path) -> None:
    write_text(tmp_path / "sub-01" / "ses-a" / "log" / "lock", "")
    (row,) = table(tmp_path)
    assert (row["session_id"], row["status"], row["seconds"]) == ("ses-a", "interrupted", "n/a")


def test_what_an_earlier_release_left_is_told(tmp_path: Path) -> None:
    for run, status in (("10", "failed"), ("20", "complete")):
        old = {"visit": "sub-01", "status": status, "message": "", "seconds": int(run)}
        write_json(tmp_path / "sub-01" / "log" / run / "status.json", old)
    write_json(tmp_path / "sub-01" / "log" / "complete.json", {"fingerprint": "0", "outputs": {}})
    assert [(row["status"], row["seconds"]) for row in table(tmp_path)] == [("complete", "20")]


def scored(out: Path, visit: str, gain: float, **more: object) -> None:
    """What a run with `--evaluate` leaves, whose PSNR of dMRI is 20 dB and that of the template less."""
    ended(out, visit, "10", "complete")
    own = dict.fromkeys(METRICS, 0.5) | {"psnr_db": 20.0} | more
    template = dict.fromkeys(METRICS) | {"psnr_db": 20.0 - gain}
    rows = [{"target": "dwi", "method": MAIN} | own, {"target": "dwi", "method": TEMPLATE} | template]
    write_json(out / visit / "log" / "scores.json", {"scores": rows})


def test_scores_are_columns_with_a_meaning_each(tmp_path: Path) -> None:
    scored(tmp_path, "sub-01", 1.25, sharpness=None)
    ended(tmp_path, "sub-02", "10", "nothing-missing")
    first, second = table(tmp_path)
    assert (first["dwi_psnr_db"], first["dwi_template_psnr_db"], first["dwi_gain_psnr_db"]) == (
        "20",
        "18.75",
        "1.25",
    )
    assert {first[f"dwi_{name}"] for name in METRICS if name not in ("psnr_db", "sharpness")} == {"0.5"}
    assert (first["dwi_sharpness"], second["dwi_psnr_db"]) == ("n/a", "n/a")
    assert not [name for name in first if name.startswith("bold_")]
    meanings = json.loads((tmp_path / "group_synthesis.json").read_text())
    assert list(meanings) == list(first)


def test_without_scores_there_is_no_summary(tmp_path: Path) -> None:
    ended(tmp_path, "sub-01", "10", "nothing-missing")
    table(tmp_path)
    assert not list(tmp_path.glob("group_scores*"))
    assert ">Scores<" not in (tmp_path / "group_synthesis.html").read_text()


def test_a_summary_of_scores_that_are_gone_is_removed(tmp_path: Path) -> None:
    scored(tmp_path, "sub-01", 1.0)
    table(tmp_path)
    (tmp_path / "sub-01" / "log" / "scores.json").unlink()
    table(tmp_path)
    assert not list(tmp_path.glob("group_scores*"))


def summary(out: Path, metric: str) -> dict[str, str]:
    heads, *rows = ((out / "group_scores.tsv").read_text()).splitlines()
    assert list(json.loads((out / "group_scores.json").read_text())) == heads.split("\t")
    told = [dict(zip(heads.split("\t"), row.split("\t"), strict=True)) for row in rows]
    (row,) = [row for row in told if row["metric"] == metric]
    return row


def test_a_subject_counts_once_however_many_sessions_it_has(tmp_path: Path) -> None:
    for visit, gain in (("sub-01/ses-a", 1), ("sub-01/ses-b", 2), ("sub-02", 3), ("sub-03", 4.5)):
        scored(tmp_path, visit, gain)
    table(tmp_path)
    row = summary(tmp_path, "gain_psnr_db")
    assert (row["target"], row["n_subjects"], row["mean"]) == ("dwi", "3", "3")
    assert 1.5 <= float(row["low"]) < 3 < float(row["high"]) <= 4.5


@pytest.mark.parametrize(
    ("gains", "finding"),
    [
        (
            [1, 2, 3],
            "mean dMRI (trace), 3 subjects: better than the population template by +2.00 dB [1.00, 3.00]",
        ),
        ([-1, -2, -3], "worse than the population template by -2.00 dB [-3.00, -1.00]"),
        ([-1, 0, 2], "no difference from the population template is shown, +0.33 dB"),
        ([1, 2], "mean dMRI (trace), 2 subjects: +1.50 dB against the population template; too few"),
    ],
)
def test_what_was_found_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gains: list[float], finding: str
) -> None:
    for number, gain in enumerate(gains):
        scored(tmp_path, f"sub-{number:02}", gain)
    table(tmp_path)
    assert finding in capsys.readouterr().out
    assert finding in (tmp_path / "group_synthesis.html").read_text()
    assert (summary(tmp_path, "ssim")["low"] == "n/a") == (len(gains) < 3)


@pytest.mark.parametrize("content", ["{", "[]", '{"scores": [{"target": "dwi", "method": "pds"}]}'])
def test_scores_that_cannot_be_read_are_said_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    ended(tmp_path, "sub-01", "10", "failed")
    write_text(tmp_path / "sub-01" / "log" / "scores.json", content)
    assert [row["status"] for row in table(tmp_path)] == ["failed"]
    assert "scores.json: cannot be read" in capsys.readouterr().err


def test_the_page_leads_to_the_reports_that_there_are(tmp_path: Path) -> None:
    for visit in ("sub-01/ses-a", "sub-02"):
        ended(tmp_path, visit, "10", "failed", "<b>truncated</b>")
    write_text(tmp_path / "sub-01_ses-a.html", "a report")
    table(tmp_path)
    html = (tmp_path / "group_synthesis.html").read_text()
    assert re.findall(r'href="(.*?)"', html) == ["sub-01_ses-a.html"] * 2  # under Not done, and among all
    assert "<dt>Visits failed</dt> <dd>2</dd>" in html
    assert "&lt;b&gt;truncated" in html


def measured(out: Path, visit: str, **values: float) -> None:
    """What a run leaves that measured the BOLD of a visit."""
    ended(out, visit, "10", "complete")
    sound = {"dice": 0.95, "snr": 30.0, "outlier_score": 1.0, "outlier_limit": 1.2}
    write_json(out / visit / "log" / "quality.json", {"bold": sound | values})


def test_measures_are_columns_and_the_unusual_are_flagged(tmp_path: Path) -> None:
    for number in range(12):
        measured(tmp_path, f"sub-{number:02}", snr=30.0 + 0.1 * number)
    measured(tmp_path, "sub-20", snr=60.0)  # within its limits, and far from the others
    measured(tmp_path, "sub-21", dice=0.8)
    measured(tmp_path, "sub-22", outlier_score=1.3)
    rows = {row["participant_id"]: row for row in table(tmp_path)}
    assert rows["sub-20"]["bold_snr"] == "60"
    flagged = {name: row["flags"] for name, row in rows.items() if row["flags"] != "n/a"}
    assert flagged == {"sub-20": "bold_snr", "sub-21": "bold_dice", "sub-22": "bold_outlier_score"}
    html = (tmp_path / "group_synthesis.html").read_text()
    assert re.findall(r'class="out">(.*?)<', html) == ["60", "0.8", "1.3"]
    assert html.count("<svg") == 3  # what varies: SNR, Dice, unlikeness


def test_of_few_visits_none_is_called_unusual_for_the_others(tmp_path: Path) -> None:
    for number in range(5):
        measured(tmp_path, f"sub-{number:02}", snr=30.0 + 30 * (number == 4))
    assert {row["flags"] for row in table(tmp_path)} == {"n/a"}


@pytest.mark.parametrize("content", ["{", "[]", '{"bold": 3}', '{"bold": {"dice": "x"}}'])
def test_measures_that_cannot_be_read_are_said_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    ended(tmp_path, "sub-01", "10", "complete")
    write_text(tmp_path / "sub-01" / "log" / "quality.json", content)
    assert "bold_dice" not in table(tmp_path)[0]
    assert "quality.json: cannot be read" in capsys.readouterr().err


def test_who_still_misses_what_is_told(tmp_path: Path) -> None:
    synthesised(tmp_path, "01", None, "10")
    ended(tmp_path, "sub-01", "10", "complete", missing=["dwi"])
    ended(tmp_path, "sub-02", "10", "failed", "truncated", missing=["dwi"])
    ended(tmp_path, "sub-03", "10", "no-source", missing=["bold", "dwi"])
    assert [row["missing"] for row in table(tmp_path)] == ["n/a", "dwi", "bold,dwi"]
    html = (tmp_path / "group_synthesis.html").read_text()
    assert "<dt>Visits without mean dMRI (trace)</dt> <dd>2</dd>" in html
    assert html.index("Not done") < html.index("truncated") < html.index('id="visits"')
