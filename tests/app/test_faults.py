"""The fault battery: what is wrong is said in one line, and nobody else is harmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds_bids.synthesis.pipeline import Synthesiser

from .faults.battery import SOUND, Battery, flat_brain, run_over, run_spoilt, state, visit
from .faults.blemishes import BLEMISHES
from .faults.participants import FAULTS
from .faults.runs import RUN_FAULTS, RunFault


@pytest.fixture(scope="module")
def battery(tmp_path_factory: pytest.TempPathFactory) -> Battery:
    """Every participant of `FAULTS`."""
    return run_over(tmp_path_factory.mktemp("faults"), FAULTS)


def test_the_battery_is_large() -> None:
    cases = (*FAULTS, *RUN_FAULTS, *BLEMISHES)
    assert len(FAULTS) + len(RUN_FAULTS) >= 100
    assert len({(case.name, getattr(case, "modality", None)) for case in cases}) == len(cases)


@pytest.mark.slow
def test_faults_harm_neither_inputs_nor_the_sound(battery: Battery) -> None:
    assert battery.ended.code == 1
    assert battery.statuses[SOUND]["status"] == "complete"
    assert battery.after == battery.before
    assert len(battery.statuses) == len(FAULTS) + 1


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(FAULTS)), ids=lambda k: f"{FAULTS[k].name} {FAULTS[k].modality}")
def test_a_fault_is_told_in_one_line(battery: Battery, number: int) -> None:
    fault, told = FAULTS[number], battery.statuses[visit(number)]
    assert told["status"] == fault.status
    assert fault.said in told["message"]
    assert visit(number) in told["message"]  # the file or folder at fault
    (line,) = (line for line in battery.ended.err.splitlines() if f"] {visit(number)}:" in line)
    assert fault.said in line


@pytest.mark.slow
def test_nothing_but_those_lines_is_said(battery: Battery) -> None:
    lines = battery.ended.err.splitlines()
    assert [line for line in lines if not line.startswith("[") or "unexpected" in line] == []


@pytest.mark.parametrize("fault", RUN_FAULTS, ids=lambda fault: fault.name)
def test_a_run_that_cannot_begin_says_why(
    fault: RunFault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run_spoilt(tmp_path, fault)
    assert ended.code == fault.code
    assert fault.said in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert not (tmp_path / "unpickled").exists()
    assert not list(tmp_path.rglob("*synth*"))


@pytest.mark.parametrize("fault", [fault for fault in RUN_FAULTS if "BIDS/" in fault.call])
def test_a_run_that_would_write_into_the_dataset_writes_nothing(fault: RunFault, tmp_path: Path) -> None:
    run_spoilt(tmp_path, fault)
    assert set(state(tmp_path / "bids")) == {
        "dataset_description.json",
        "sub-01",
        "sub-01/func",
        *(f"sub-01/func/sub-01_task-rest_bold{end}" for end in (".json", ".nii.gz")),
    }


@pytest.fixture(scope="module")
def blemished(tmp_path_factory: pytest.TempPathFactory) -> Battery:
    """Every participant of `BLEMISHES`, without the networks, which are not the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Synthesiser, "synthesise", flat_brain)
        return run_over(tmp_path_factory.mktemp("blemishes"), BLEMISHES)


@pytest.mark.slow
def test_blemishes_stop_nobody(blemished: Battery) -> None:
    assert blemished.ended.code == 0
    assert blemished.after == blemished.before


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BLEMISHES)), ids=lambda k: BLEMISHES[k].name)
def test_a_blemish_is_told_beside_the_result(blemished: Battery, number: int) -> None:
    told = blemished.statuses[visit(number)]
    assert told["status"] == "complete"
    assert BLEMISHES[number].said in told["message"]
