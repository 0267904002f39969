"""Splits by subject, drawn or given."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.app.splits import drawn_split, read_split, write_split
from pds_bids.core.errors import UsageError


def everybody(parts: dict[str, list[str]]) -> list[str]:
    return sorted(subject for members in parts.values() for subject in members)


@given(st.lists(st.integers(0, 3), min_size=3, max_size=60), st.integers(0, 99))
def test_everybody_is_in_one_part_and_strata_are_shared_out(strata: list[int], seed: int) -> None:
    groups = {f"{k:02d}": (float(group),) for k, group in enumerate(strata)}
    parts = drawn_split(groups, seed)
    assert everybody(parts) == sorted(groups)
    for group, n in Counter(strata).items():
        in_training = sum(groups[subject] == (group,) for subject in parts["train"])
        assert abs(in_training - 0.7 * n) < 2


def test_the_seed_draws() -> None:
    strata = {str(k): (0.0,) for k in range(20)}
    assert drawn_split(strata, 1) == drawn_split(dict(reversed(strata.items())), 1) != drawn_split(strata, 2)
    assert [len(members) for members in drawn_split(strata, 1).values()] == [14, 3, 3]


def test_too_few_to_calibrate() -> None:
    with pytest.raises(UsageError, match=r"0 of the subjects .* in the part calibration, at least 1 needed"):
        drawn_split({"01": (), "03": ()}, 0)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    parts = {"train": ["01", "04"], "calibration": ["02"], "test": []}
    write_split(tmp_path / "split.tsv", parts)
    assert read_split(tmp_path / "split.tsv", everybody(parts)) == parts
    write_split(tmp_path / "split.tsv", {**parts, "test": ["05"]})  # who was not processed
    assert read_split(tmp_path / "split.tsv", everybody(parts)) == parts


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("sub-01\ttrain\nsub-02\tcalibration", r"no row for sub-03; choose"),
        ("sub-01\ttrain\nsub-02\tcalibration\nsub-03\ttest\nsub-01\ttest", r"sub-01 has two rows"),
        (
            "sub-01\ttrain\n02\tCalibration\nsub-03\tvalidation",
            r"sub-03 is in 'validation'; choose from train,",
        ),
        ("sub-01\ttrain\nsub-02\ttest\nsub-03\ttrain", r"0 of the subjects .* calibration, at least 1"),
        ("sub-01\ttrain\nsub-02\ttest\nsub-03\tcalibration", r"1 of the subjects .* train, at least 2"),
    ],
)
def test_a_table_that_cannot_be_is_one_line(tmp_path: Path, rows: str, fault: str) -> None:
    path = tmp_path / "split.tsv"
    path.write_text(f"participant_id\tsplit\n{rows}\n")
    with pytest.raises(UsageError, match=fault) as caught:
        read_split(path, ["01", "02", "03"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_by_another_name(tmp_path: Path) -> None:
    path = tmp_path / "split.tsv"
    path.write_text("subject,split\n01,train\n")
    with pytest.raises(UsageError, match="needs the columns participant_id and split"):
        read_split(path, ["01"])
