"""What the benchmarks say of costs: turns, ratios, and who pays for what."""

from __future__ import annotations

import pytest

from benchmarks.measure import Cost, compared, in_turn, probe_cost


def test_rivals_take_turns_and_each_round_goes_the_other_way():
    turns: list[str] = []
    rivals = {name: lambda name=name: (turns.append(name), Cost(1.0, 1.0))[1] for name in "ab"}

    costs = in_turn(rivals, rounds=3)

    assert "".join(turns) == "abbaab"
    assert {name: len(own) for name, own in costs.items()} == {"a": 3, "b": 3}


def test_ratios_are_those_of_each_round():
    costs = {"base": [Cost(1.0, 1.0, 100.0), Cost(4.0, 2.0, 100.0)], "x": [Cost(3.0, 2.0, 50.0)] * 2}

    _, row = compared(costs, "base")

    assert row["times_wall"] == [1.875, 0.75, 3.0]
    assert row["times_cpu"] == [1.5, 1.0, 2.0]
    assert row["times_memory"] == [0.5, 0.5, 0.5]


def test_what_has_no_known_peak_has_no_ratio_of_memory():
    assert "times_memory" not in compared({"x": [Cost(1.0, 1.0)]}, "x")[0]


@pytest.mark.parametrize("probe", ["pds-bids", "os.walk"])
def test_a_probe_answers_with_its_own_cost(probe, tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (tmp_path / "sub-01").mkdir()

    found = probe_cost("discovery", probe, tmp_path)

    assert 0 < found.cpu_s < 10
    assert 5 < found.peak_mb < 500
