"""All experiments in one go: what each is asked for, and the page that joins them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds_bids.app.experiments import ablation, diagnosis, pattern, sites, suite, temporal, trust
from pds_bids.app.experiments.setting import Result, Setting, write_record
from pds_bids.app.experiments.sizes import FULL, QUICK
from pds_bids.app.experiments.study import load_study
from pds_bids.evaluation.diagnosis import LEAST_IN_CLASS
from pds_bids.training.data import GROUPS

ASKED = (ablation, diagnosis, pattern, sites, temporal, trust)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, Setting]]:
    """Plan and setting of each experiment, by the name of its record; none is done."""
    seen: dict[str, tuple[object, Setting]] = {}

    def do(plan: object, setting: Setting) -> int:
        name = setting.out.stem
        seen[name] = plan, setting
        write_record(Result(name, f"Title of {name}", ["found"]), {}, setting, {})
        return 0

    for module in ASKED:
        monkeypatch.setattr(module, "run", do)
    monkeypatch.setattr(suite, "_evaluate", do)
    return seen


@pytest.mark.parametrize(("quick", "sizes"), [(False, FULL), (True, QUICK)])
def test_every_experiment_is_done_on_people_they_share_and_told_on_one_page(
    asked: dict[str, tuple[object, Setting]], tmp_path: Path, quick: bool, sizes: dict[str, int]
) -> None:
    setting = Setting(tmp_path / "all.json", model="mine", seed=4)
    assert suite.run(suite.Plan(tmp_path, quick), tmp_path, setting) == 0

    assert {name: own.n_subjects for name, (_, own) in asked.items() if name in sizes} == sizes
    assert {(own.model, own.seed, own.folder) for _, own in asked.values()} == {("mine", 4, setting.folder)}
    assert asked["temporal"][0] == temporal.Plan(tmp_path)
    page = (tmp_path / suite.PAGE).read_text()
    assert all(f"Title of {name}" in page for name in (*sizes, "temporal"))


def test_series_are_left_out_without_a_dataset(asked: dict[str, object], tmp_path: Path) -> None:
    suite.run(suite.Plan(), tmp_path, Setting(tmp_path / "all.json"))

    assert set(asked) == set(FULL)


def test_quick_diagnoses_are_of_people_enough_to_learn_from() -> None:
    for experiment in ("diagnosis", "pattern"):
        assert QUICK[experiment] >= len(GROUPS) * LEAST_IN_CLASS


def test_studies_that_it_names_are_bundled() -> None:
    assert [row.name for row in load_study("quick")] == ["PDM + TR + MR", "PDM + TR"]
    assert load_study("sampling")
