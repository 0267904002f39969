"""Steps of a visit: told, measured, and shown as fits the place."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest

from pds_bids.app.runprogress import Bar, Lines, shown
from pds_bids.app.steps import Step, Steps, write_usages


def test_each_step_is_told_before_and_measured_after(tmp_path: Path) -> None:
    told: list[Step] = []
    steps = Steps("sub-01", told.append, expected=2)
    with steps("resting"):
        assert [step.name for step in told] == ["resting"]
        time.sleep(0.05)
    with pytest.raises(ValueError, match="x"), steps("failing"):
        raise ValueError("x")
    with steps("one more than expected"):
        pass

    assert [step.done for step in told] == [0, 0.5, 1]
    assert steps.usages[0].seconds >= 0.05 > steps.usages[0].cpu_seconds
    write_usages(tmp_path / "resources.tsv", steps.usages)
    rows = [line.split("\t") for line in (tmp_path / "resources.tsv").read_text().splitlines()]
    assert rows[0] == ["step", "seconds", "cpu_seconds", "peak_mb", "gpu_peak_mb"]
    assert [row[0] for row in rows[1:]] == ["resting", "failing", "one more than expected"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be reset on Linux alone")
def test_the_peak_is_that_of_the_step() -> None:
    steps = Steps("sub-01", expected=2)
    with steps("much"):
        assert np.ones(40_000_000).sum() > 0  # 320 MB
    with steps("little"):
        pass
    much, little = (usage.peak_mb for usage in steps.usages)
    assert 250 < much - little < 450


def test_lines_count_visits_and_tell_the_time_left(capsys, monkeypatch) -> None:
    clock = iter([0.0, 600.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    lines = Lines(of=4)
    lines.step(Step("sub-01", "averaging", 0.0))  # nothing is known yet
    lines.end("sub-01", "sub-01: complete", well=True)
    lines.step(Step("sub-02", "aligning", 0.5))  # 1.5 of 4 in 10 minutes
    lines.end("sub-02", "sub-02: failed", well=False)

    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "sub-01: averaging",
        "[1/4] sub-01: complete",
        "sub-02: aligning (about 17 min left)",
    ]
    assert err == "[2/4] sub-02: failed\n"


def test_a_job_array_is_told_how_visits_end_and_no_more(capsys, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with shown(1) as lines:
        lines.step(Step("sub-01", "averaging", 0.0))
        lines.end("sub-01", "sub-01: complete", well=True)

    assert capsys.readouterr().out == "[1/1] sub-01: complete\n"


def test_on_a_terminal_there_is_a_bar_below_the_lines(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", screen := Terminal())
    with shown(2) as lines:
        assert isinstance(lines, Bar)
        lines.end("sub-01", "sub-01: [complete]", well=True)
        lines.step(Step("sub-02", "averaging", 0.0))
    assert "[1/2] sub-01: [complete]" in screen.getvalue()
    assert "sub-02: averaging" in screen.getvalue()
    assert "50%" in screen.getvalue()
