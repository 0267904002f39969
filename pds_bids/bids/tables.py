"""Tables of a dataset: tab-separated values with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from pds_bids.core.errors import UsageError

MISSING = "n/a"
"""How BIDS writes that a value is unknown."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Text of a table.

    >>> table(("participant_id", "age"), [("sub-01", "41")]).split()
    ['participant_id', 'age', 'sub-01', '41']
    """
    return "".join("\t".join(row) + "\n" for row in (header, *rows))


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table by column; cells that are empty or left out are `n/a`.

    Raises
    ------
    UsageError
        If the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin with a byte order mark
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); give a tab-separated table in UTF-8") from error
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        {name.strip(): (row[name] or "").strip() or MISSING for name in rows.fieldnames or ()} for row in rows
    ]
