"""Whole runs over visits that take no time: what is repeated, what ends a run, and what it leaves behind."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import nibabel as nb
import numpy as np
import pytest

from pds_bids.app import visit
from pds_bids.app.outcome import Ending
from pds_bids.app.plan import VisitPlan
from pds_bids.app.process import process
from pds_bids.app.scratch import IN_USE, scratch_of_visit
from pds_bids.bids import lock
from pds_bids.bids.completion import mark_complete
from pds_bids.bids.inventory import inventory
from pds_bids.bids.lock import visit_lock
from pds_bids.cli.main import default_work_dir
from pds_bids.core.config import Config
from pds_bids.core.errors import ParticipantError, TemporaryError
from pds_bids.core.modality import Modality

from .faults.battery import Ended, call, state
from .faults.people import Participant, add_description, add_participant

pytestmark = pytest.mark.slow

PEOPLE = ("sub-01", "sub-02")


class Visits:
    """Stands for the work of every visit: keeps whose it was, and does what it is told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.do: Callable[[str], object] = lambda label: None

    def __call__(self, config: Config, plan: VisitPlan, _: object, run_id: str, steps: object) -> Ending:
        label = plan.visit.label
        with scratch_of_visit(config.work_dir):
            self.done.append(label)
            self.do(label)
        mark_complete(config.output_dir, plan.visit.subject, None, plan.fingerprint, run_id, [])
        return Ending(None, plan.targets, {}, [])


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> Visits:
    """In place of the work of each visit; no model is loaded."""
    stand_in = Visits()
    monkeypatch.setattr(visit, "run_visit", stand_in)
    model = SimpleNamespace(checkpoint=SimpleNamespace(sha256="of no weights"))
    monkeypatch.setattr(visit, "load_synthesiser", lambda _: model)
    return stand_in


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Two participants with BOLD."""
    folder = tmp_path / "bids"
    add_description(folder)
    for person in PEOPLE:
        add_series(folder, person, Modality.BOLD)
    return folder


def add_series(bids: Path, person: str, modality: Modality) -> None:
    """A series that nobody reads."""
    path = Participant(bids / person, modality).series
    path.parent.mkdir(parents=True)
    nb.Nifti1Image(np.ones((2, 2, 2, 2), np.int16), np.eye(4)).to_filename(path)


@pytest.fixture
def run(bids: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Options -> how the participant level ended; the work folder is the default one."""
    return lambda *options: call(f"BIDS OUT participant {' '.join(options)}", BIDS=bids, OUT=tmp_path / "out")


def test_what_is_complete_is_done_again_with_overwrite_alone(
    visits: Visits, run: Callable[..., Ended]
) -> None:
    assert run().code == 0
    assert "2 already-complete" in run().out
    assert visits.done == [*PEOPLE]
    assert "2 complete" in run("--overwrite").out
    assert visits.done == [*PEOPLE, *PEOPLE]


def refuse(label: str) -> None:
    if label == "sub-01":
        raise ParticipantError(label, "is spoilt", "repair it")


@pytest.mark.parametrize(("options", "done"), [((), [*PEOPLE]), (("--stop-on-first-crash",), ["sub-01"])])
def test_a_failure_ends_the_run_only_where_that_is_asked_for(
    visits: Visits, run: Callable[..., Ended], options: tuple[str, ...], done: list[str]
) -> None:
    visits.do = refuse
    assert run(*options).code == 1
    assert visits.done == done


@pytest.mark.parametrize("error", [TemporaryError("/out: the disk is full; free some"), MemoryError()])
def test_what_a_rerun_may_mend_ends_the_run_with_75_and_is_nobody_s_failure(
    visits: Visits, run: Callable[..., Ended], tmp_path: Path, error: Exception
) -> None:
    def fail(_: str) -> None:
        raise error

    visits.do = fail
    ended = run()
    assert ended.code == 75
    (line,) = ended.err.splitlines()
    assert line.startswith("pds-bids: error: ")
    assert visits.done == ["sub-01"]
    assert not list((tmp_path / "out").rglob("status.json"))
    visits.do = lambda label: None
    assert "2 complete" in run().out  # the same command resumes


def test_a_visit_that_another_run_keeps_fails_alone_and_is_left_alone(
    visits: Visits, run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--participant-label", "02")
    monkeypatch.setattr("pds_bids.app.process.visit_lock", partial(visit_lock, patience_s=0.01))
    with visit_lock(tmp_path / "out", "01", None):
        ended = run("--overwrite")
    assert ended.code == 1
    assert visits.done == ["sub-02", "sub-02"]
    (line,) = (line for line in ended.err.splitlines() if "sub-01: failed" in line)
    assert "another run is writing to it; wait for that run, or use another output folder" in line


def test_of_two_runs_at_once_the_second_waits_and_finds_it_done(
    visits: Visits,
    bids: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock, "_POLL_S", 0.01)
    config = Config(bids, tmp_path / "out", tmp_path / "work")
    config.work_dir.mkdir()
    begun, may_end = threading.Event(), threading.Event()
    visits.do = lambda label: (begun.set(), may_end.wait(30))
    first, _ = inventory(bids, config.selection)
    with ThreadPoolExecutor() as threads:
        one = threads.submit(process, config, first, "one")
        assert begun.wait(30)
        other = threads.submit(process, config, first, "other")
        while "waiting for that run" not in caplog.text:
            assert not other.done()
        may_end.set()
        ended = [one.result(30).status, other.result(30).status]
    assert ended == ["complete", "already-complete"]
    assert visits.done == ["sub-01"]


def test_where_nothing_is_missing_there_is_an_output_folder_all_the_same(
    run: Callable[..., Ended], bids: Path, tmp_path: Path
) -> None:
    for person in PEOPLE:
        add_series(bids, person, Modality.DWI)
    ended = run()
    assert ended.code == 0
    assert ended.out.endswith("2 nothing-missing\n")
    assert (tmp_path / "out" / "dataset_description.json").is_file()


def test_one_without_a_source_is_no_failure(visits: Visits, run: Callable[..., Ended], bids: Path) -> None:
    (bids / "sub-03" / "anat").mkdir(parents=True)
    ended = run()
    assert ended.code == 0
    assert "2 complete, 1 no-source" in ended.out


def test_a_dry_run_writes_nothing(visits: Visits, run: Callable[..., Ended], tmp_path: Path) -> None:
    before = state(tmp_path)
    assert "2 of 2 to synthesise" in run("--dry-run").out
    assert run("--dry-run", "--format", "list").out.split() == ["01", "02"]
    assert state(tmp_path) == before
    run("--participant-label", "01")
    assert run("--dry-run", "--format", "list").out.split() == ["02"]


def left_by_a_killed_run(work: Path) -> Path:
    folder = work / "visit-killed"
    folder.mkdir(parents=True)
    (folder / IN_USE).touch()
    return folder


@pytest.mark.parametrize("option", ["--clean-workdir", "--no-clean-workdir"])
def test_a_work_folder_is_cleared_where_that_is_asked_for(
    visits: Visits, run: Callable[..., Ended], tmp_path: Path, option: str
) -> None:
    left = left_by_a_killed_run(tmp_path / "work")
    run(option, "-w", str(tmp_path / "work"))
    assert left.exists() == (option != "--clean-workdir")
    assert (tmp_path / "work").is_dir()  # chosen, and so it stays


@pytest.mark.parametrize(
    "error", [None, ParticipantError("x", "is spoilt", "repair it"), KeyboardInterrupt()]
)
def test_a_work_folder_that_nobody_chose_is_gone_however_the_run_ends(
    visits: Visits, run: Callable[..., Ended], tmp_path: Path, error: BaseException | None
) -> None:
    work = default_work_dir(tmp_path / "out")
    left_by_a_killed_run(work)
    seen: list[bool] = []

    def do(_: str) -> None:
        seen.append(Path(tempfile.gettempdir()).is_relative_to(work))
        if error:
            raise error

    visits.do = do
    assert run().code == {type(None): 0, ParticipantError: 1, KeyboardInterrupt: 130}[type(error)]
    assert all(seen)
    assert not work.exists()
    assert Path(tempfile.gettempdir()) == Path(os.environ["TMPDIR"])


def test_with_a_work_folder_no_other_place_for_temporary_files_is_needed(
    visits: Visits, run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert run("-w", str(tmp_path / "work")).code == 0
    assert run().code == 73


def test_a_run_keeps_its_settings_and_the_command_line(
    visits: Visits, run: Callable[..., Ended], bids: Path, tmp_path: Path
) -> None:
    run("--participant-label", "01", "--random-seed", "7")
    (of_the_run,) = (tmp_path / "out" / "logs").glob("*.toml")
    (of_the_visit,) = (tmp_path / "out" / "sub-01" / "log").glob("*/pds-bids.toml")
    assert of_the_visit.parent.name == of_the_run.stem
    assert of_the_visit.read_bytes() == of_the_run.read_bytes()
    said = (
        f'command = "pds-bids {bids} {tmp_path / "out"} participant --participant-label 01 --random-seed 7"'
    )
    assert said in of_the_run.read_text().splitlines()


def test_two_processes_share_the_visits_and_tell_of_their_steps(tmp_path: Path) -> None:
    add_description(tmp_path / "bids")
    for person in PEOPLE:
        add_participant(tmp_path / "bids", person, Modality.BOLD)
    options = "--nprocs 2 --mem 4GB --omp-nthreads 1 --preproc-only --sloppy --output-spaces native -w WORK"
    places = {"BIDS": tmp_path / "bids", "OUT": tmp_path / "out", "WORK": tmp_path / "work"}
    ended = call(f"BIDS OUT participant {options}", **places)
    assert ended.code == 0
    assert ended.out.endswith("2 complete\n")
    assert [f"{person}: averaging" in ended.out for person in PEOPLE] == [True, True]
    assert {path.name for path in (tmp_path / "work").iterdir()} <= {"matplotlib"}
