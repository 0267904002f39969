"""How templates become text: always escaped in pages, never in plain text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

Value = str | int | float | bool | None
"""What a table of a page may hold."""


@cache
def environment(*, escape: bool) -> Environment:
    """The templates of this package. A name that a template uses and nobody gave is an error.

    Parameters
    ----------
    escape
        Escape whatever is filled in, as HTML needs it.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(text=text_of, count_of=count_of)
    return made


def text_of(value: Value) -> str:
    """A value as a reader wants it: fractions to four digits, yes and no, `n/a` for nothing.

    Examples
    --------
    >>> text_of(20.51234), text_of(33080.8), text_of(176), text_of(True), text_of(None)
    ('20.51', '33,081', '176', 'yes', 'n/a')
    """
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def count_of(count: int, noun: str) -> str:
    """A number of things.

    Examples
    --------
    >>> count_of(1, "draw"), count_of(8, "step")
    ('1 draw', '8 steps')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
