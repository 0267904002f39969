"""Commands run in this process, with recorders in place of the workflows behind them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import pytest

import pds_bids.app
from pds_bids.app.evaluation import Plan
from pds_bids.app.simulation import Study
from pds_bids.cli import main, model


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Recorder:
    """Stands for a workflow: keeps what it was called with, and answers what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.answer: object = 0

    def __call__(self, *args: object, **options: object) -> object:
        self.calls.append((*args, *options.values()))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def workflows(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """One recorder per function of `pds_bids.app` that a command may call."""
    functions = {
        "participant": ("run", "dry_run"),
        "group": ("run",),
        "demo": ("run",),
        "simulation": ("run",),
        "modelcard": ("text",),
        "training": ("run",),
        "evaluation": ("run",),
        "evaluationpage": ("run",),
    }
    recorders = SimpleNamespace()
    for module, names in functions.items():
        fake = SimpleNamespace(**{name: Recorder() for name in names})
        monkeypatch.setattr(pds_bids.app, module, fake, raising=False)
        setattr(recorders, module, fake)
    recorders.simulation.Study = Study
    recorders.evaluation.Plan = Plan
    return recorders


def _runner(command: Callable, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(*args: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            command([str(arg) for arg in args])
        return Ended(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def pds_bids_command(workflows: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    return _runner(main.main, capsys)


@pytest.fixture
def pds_model_command(workflows: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    return _runner(model.main, capsys)
