"""Tables of a page: cells as a reader wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from statistics import median
from typing import NamedTuple

from pds_bids.report.templating import Value, text_of

Cell = Value | Sequence[float | None]
"""What a table holds: a value, or an interval `(mean, low, high)`."""


class Text(NamedTuple):
    """A cell in words: a value and, of an interval, its ends."""

    value: str
    ends: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.ends}".strip()


@dataclass(frozen=True)
class Table:
    """Rows with a heading.

    Attributes
    ----------
    title
        Heading.
    rows
        All keys become columns, in the order in which they first appear.
    headings
        Key to how the column is headed, where that is not the key itself.
    links
        Text of a cell to the address that it leads to, relative to the page.
    """

    title: str
    rows: Sequence[Mapping[str, Cell]]
    headings: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Keys of the rows."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    @property
    def heads(self) -> list[str]:
        """Heading of each column."""
        return [self.headings.get(name, name) for name in self.columns]

    @property
    def cells(self) -> list[list[Text]]:
        """Every row as a reader wants it: the intervals of a column have equally many decimal places."""
        by_column = []
        for name in self.columns:
            cells = [row.get(name) for row in self.rows]
            decimals = interval_decimals(cells)
            by_column.append([cell_text(cell, decimals) for cell in cells])
        return [list(row) for row in zip(*by_column, strict=True)]


def interval_decimals(cells: Iterable[Cell]) -> int:
    """Decimal places that tell the typical half-width of the intervals by two digits, at most four.

    Examples
    --------
    >>> interval_decimals([(19.46, 18.91, 20.15), None]), interval_decimals([(0.491, 0.470, 0.509), "-"])
    (2, 3)
    """
    ends = [cell[1:] for cell in cells if isinstance(cell, Sequence) and not isinstance(cell, str)]
    widths = [(high - low) / 2 for low, high in ends if low is not None and high is not None and high > low]
    return min(max(1 - floor(log10(median(widths))), 0), 4) if widths else 3


def cell_text(cell: Cell, decimals: int) -> Text:
    """A cell as a reader wants it.

    Examples
    --------
    >>> str(cell_text([19.461, 18.91, 20.152], 2)), str(cell_text(0.123456, 2))
    ('19.46 [18.91, 20.15]', '0.1235')
    >>> cell_text([-0.001, None, None], 2)
    Text(value='0.00', ends='[n/a, n/a]')
    """
    if not isinstance(cell, Sequence) or isinstance(cell, str):
        return Text(text_of(cell))
    mean, low, high = ("n/a" if number is None else f"{number:z.{decimals}f}" for number in cell)
    return Text(mean, f"[{low}, {high}]")


def simple_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a simple table of reStructuredText; the first row is its head.

    >>> print(*simple_table([["name", "n"], ["flat", "3"]]), sep=" / ")
    ====  = / name  n / ====  = / flat  3 / ====  =
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    head, *body = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return [rule, head, rule, *body, rule]
