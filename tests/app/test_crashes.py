"""A bug that befalls one participant: a page, a file to report it with, and everybody else goes on."""

from __future__ import annotations

import html
import json
import shlex
from pathlib import Path

import pytest

from pds_bids.app import crashes, group, participant, visit
from pds_bids.app.process import process
from pds_bids.bids.completion import mark_complete
from pds_bids.bids.inventory import inventory
from pds_bids.cli import main
from pds_bids.core.config import Config, PrepConfig, RunConfig, SynthesisConfig
from pds_bids.core.modality import Modality

from .faults.people import add_description, add_participant

BUG = "a <b>bug</b>\nof two lines"
PEOPLE = ("sub-01", "sub-02/ses-a")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two small participants, and a program with a bug where it averages."""

    def buggy(*_: object, **__: object) -> None:
        raise ZeroDivisionError(BUG)

    monkeypatch.setattr(visit, "reduce_series", buggy)
    bids = tmp_path / "in put"
    add_description(bids)
    add_participant(bids, PEOPLE[0], Modality.BOLD)
    plain = add_participant(bids, "sub-02", Modality.DWI)
    session = plain.folder / "ses-a" / "dwi"
    session.mkdir(parents=True)
    for file in (plain.folder / "dwi").iterdir():
        file.rename(session / file.name.replace("sub-02_", "sub-02_ses-a_"))
    (plain.folder / "dwi").rmdir()
    return Config(
        bids,
        tmp_path / "out",
        tmp_path / "work",
        prep=PrepConfig(threads=1),
        synthesis=SynthesisConfig(threads=1),
    )


def crash_file(out: Path, person: str) -> Path:
    (file,) = (out / person / "log").glob("*/crash-*.txt")
    return file


def test_each_has_a_page_a_file_and_one_line(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    out = config.output_dir
    assert participant.run(config) == 1  # both were dealt with: neither kept the other one from it
    said = capsys.readouterr().err
    for person in PEOPLE:
        file = crash_file(out, person)
        assert "unexpected ZeroDivisionError while averaging mean" in (told := file_status(file))
        assert "\n" not in told
        assert told in said
        assert told.endswith(f"please report {file.relative_to(out).as_posix()}")
        kept = file.read_text()
        assert BUG in kept
        assert "pds-bids 0." in kept
        page = (out / f"{person.replace('/', '_')}.html").read_text()
        assert '<section id="crash"' in page
        assert html.escape(BUG) in page
        assert "<b>bug" not in page
        assert f'href="{file.relative_to(out).as_posix()}"' in page
        assert not (out / person / "log" / "complete.json").exists()
    assert "Traceback" not in said


def file_status(crash: Path) -> str:
    return str(json.loads((crash.parent / "status.json").read_text())["message"])


def test_the_command_on_the_page_does_it_again(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    participant.run(config)
    for person in PEOPLE:
        (line,) = [x for x in crash_file(config.output_dir, person).read_text().splitlines() if "Again" in x]
        program, *words = shlex.split(line.removeprefix("Again: "))
        assert program == "pds-bids"
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main.main(words)
        assert "\n1 failed" in (said := "".join(capsys.readouterr()))
        assert f"{person}: failed" in said


def test_the_page_is_rendered_again_with_its_crash(config: Config) -> None:
    participant.run(config)
    page = config.output_dir / "sub-01.html"
    before = page.read_text()
    page.unlink()
    again = Config(config.bids_dir, config.output_dir, config.work_dir, run=RunConfig(only="reports"))
    assert participant.run(again) == 0
    assert page.read_text() == before


def test_the_group_level_leads_to_the_file(config: Config) -> None:
    participant.run(config)
    group.run(config)
    out = config.output_dir
    heads, *rows = (line.split("\t") for line in (out / "group_synthesis.tsv").read_text().splitlines())
    named = [row[heads.index("crash")] for row in rows]
    assert named == [crash_file(out, person).relative_to(out).as_posix() for person in PEOPLE]
    assert "crash" in json.loads((out / "group_synthesis.json").read_text())
    page = (out / "group_synthesis.html").read_text()
    assert all(f'<a href="{name}">' in page for name in named)


def test_outputs_of_an_earlier_run_keep_their_page(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    page = config.output_dir / "sub-01.html"
    page.parent.mkdir()
    page.write_text("of the earlier run")
    mark_complete(config.output_dir, "01", None, "of other settings", "run", [page])

    def buggy(*_: object) -> None:
        raise ZeroDivisionError(BUG)

    monkeypatch.setattr("pds_bids.app.plan.plan_visit", buggy)
    (chosen, _) = inventory(config.bids_dir, config.selection)
    result = process(config, chosen, "later")
    assert "while planning" in result.message
    assert page.read_text() == "of the earlier run"


def test_a_page_that_crashes_too_leaves_the_file(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(*_: object) -> None:
        raise RuntimeError("another bug")

    monkeypatch.setattr(crashes, "visit_page", buggy)
    assert participant.run(config) == 1
    assert all(BUG in crash_file(config.output_dir, person).read_text() for person in PEOPLE)
