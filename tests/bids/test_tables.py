"""Tables as people and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.bids.tables import read_table, table
from pds_bids.core.errors import UsageError

CELL = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)


@given(st.lists(st.tuples(CELL, CELL)))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "participants.tsv"
    path.write_text(table(("one", "two"), rows), encoding="utf-8")
    assert [(row["one"], row["two"]) for row in read_table(path)] == rows


def test_spreadsheets_leave_marks_gaps_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    path.write_bytes(b"\xef\xbb\xbfparticipant_id\tage \tsex\r\nsub-01\t\tF\tmore\r\n\r\nsub-02\t\r\n")
    assert read_table(path) == [
        {"participant_id": "sub-01", "age": "n/a", "sex": "F"},
        {"participant_id": "sub-02", "age": "n/a", "sex": "n/a"},
    ]


@pytest.mark.parametrize("content", [None, b"participant_id\tname\nsub-01\t\xff\xfe\n"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "split.tsv"
    if content:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"split\.tsv: cannot be read.*UTF-8") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
