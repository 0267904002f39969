"""Studies: what a TOML file makes of presets, and what it must not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.app import training
from pds_bids.app.experiments.study import changed, load_study
from pds_bids.app.presets import model_config, require_data_table
from pds_bids.core.errors import UsageError

BUNDLED = sorted((Path(training.__file__).parents[1] / "presets" / "studies").glob("*.toml"))
STEPS = "[common.training.denoiser]\nsteps = 2\n[common.training.refiner]\nsteps = 1\n"

tables = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abcd"), below, max_size=3), max_leaves=8
).filter(lambda value: isinstance(value, dict))


def study(folder: Path, text: str) -> str:
    path = folder / "study.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_every_bundled_study_can_be_run(path: Path) -> None:
    rows = load_study(path.stem)
    assert len(rows) > 1
    for row in rows:
        if row.recipe is not None:
            model_config(row.recipe["model"])
            require_data_table(row.recipe["data"])
    assert len({str(row.recipe["data"]) for row in rows if row.recipe}) <= 1  # one simulation serves all


def test_the_rows_of_the_bundled_ablations_have_the_same_steps_and_share_checkpoints() -> None:
    rows = load_study("ablations")
    steps = [[row.recipe["training"][stage]["steps"] for stage in ("denoiser", "refiner")] for row in rows]
    assert steps == [steps[0]] * len(rows)
    assert rows[0].recipe == rows[1].recipe  # PDM alone is the first one's
    assert sum(row.recipe == rows[0].recipe for row in rows) < len(rows)


def test_a_row_changes_a_preset_and_the_common_part_of_all(tmp_path: Path) -> None:
    text = f"preset = 'tiny'\n{STEPS}[[row]]\nname = 'a'\n[[row]]\nname = 'b'\nkind = 'draws'\nsteps = 3\n"
    first, second = load_study(study(tmp_path, text + "change.pattern.mode = 'off'\n"))

    assert first.recipe["training"]["denoiser"] == {
        "batch_size": 1, "coarse_batch_size": 1, "coarse": 0.6, "regression": 0.2, "steps": 2
    }  # fmt: skip
    assert second.recipe == {**first.recipe, "pattern": {"mode": "off"}}
    assert (second.kind, second.sampling) == ("draws", (4, 3, "ddim"))


def test_without_a_preset_the_given_model_is_scored(tmp_path: Path) -> None:
    (row,) = load_study(study(tmp_path, "[[row]]\nname = 'a'\n"))
    assert row.recipe is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "needs a"),
        ("[[row]]\nname = 'a'\n[[row]]\nname = 'a'\n", "name of its own"),
        ("[[row]]\nkind = 'draw'\n", "needs a name"),
        ("[[row]]\nname = 'a'\nkind = 'best'\n", "kind of estimate"),
        ("[[row]]\nname = 'a'\nk = 4\n", "no 'k'"),
        ("rows = 1\n", "no 'rows'"),
        ("[[row]]\nname = 'a'\nchange.pattern.mode = 'off'\n", "changes no preset"),
        ("preset = 'tiny'\n[[row]]\nname = 'a'\n", "give its stages steps"),
        ("preset = 'huge'\n[[row]]\nname = 'a'\n", "neither a bundled preset"),
        ("[[row]]\nname = 'a'\nkind = 'draws'\ndraws = 1\n", "mean is of 2 draws"),
        ("[[row]]\nname = 'a'\nsampler = 'euler'\n", "no sampler 'euler', there are ddim, dpm++"),
        (f"preset = 'tiny'\n{STEPS}[[row]]\nname = 'a'\nchange.training.step = 1\n", "step"),
        ("[[row]\n", "neither a bundled study (ablations, quick, rivals, sampling) nor"),
    ],
)
def test_what_a_study_must_not_say(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_study(study(tmp_path, text))
    assert fault in str(refused.value)


@given(tables, tables)
def test_a_change_holds_and_the_rest_stays(before: dict, change: dict) -> None:
    after = changed(before, change)
    assert changed(after, change) == after
    assert changed(before, {}) == before
    assert after.keys() == before.keys() | change.keys()
    for name in before.keys() - change.keys():
        assert after[name] == before[name]
