"""Write what the pages of the documentation tell of experiments, from the JSON of each.

Usage, after experiments wrote ``docs/results/*.json``::

    python docs/scripts/results.py

A page holds blocks, which are written anew, between two comments::

    .. begin: held_out / findings
    .. begin: held_out / table / How close / target, method, psnr_db
    .. begin: held_out / chart / What PDM + TR + MR gains, mean fMRI (BOLD)
    .. begin: held_out / command
    .. begin: held_out / all
    .. end

each of the experiment in ``docs/results/held_out.json``; a table may name the columns that are shown. Numbers
in prose are typed by hand, and below it stands where they come from; a page that says otherwise is refused::

    .. check: held_out / How close / bold, population template / psnr_db = 19.5
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pds_bids.app.evaluationpage import About, charts_of, load, tables_of
from pds_bids.bids.naming import slug
from pds_bids.report.tables import Table, Text, simple_table

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS / "results"
WIDTH = 118

BLOCK = re.compile(r"^\.\. begin: (?P<what>.+)\n(?P<content>[\s\S]*?)^\.\. end$", re.MULTILINE)
CHECK = re.compile(r"^\.\. check: (?P<where>.+) = (?P<said>[-\d.]+)$", re.MULTILINE)


def page(text: str) -> str:
    """A page with its blocks written anew.

    Raises
    ------
    ValueError
        If a number in prose is not that of its experiment.
    """
    for check in CHECK.finditer(text):
        require(check["where"], check["said"])
    return BLOCK.sub(lambda block: f".. begin: {block['what']}\n\n{content(block['what'])}\n.. end", text)


def content(what: str) -> str:
    """The lines of a block."""
    name, kind, *more = what.split(" / ")
    return "".join(f"{line}\n" for line in BLOCKS[kind](name, *more))


def findings(name: str) -> Iterator[str]:
    """A list of sentences."""
    for finding in experiment(name)["findings"]:
        yield from textwrap.wrap(
            f"- {plain(finding)}",
            WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )


def table(name: str, title: str, columns: str = "") -> list[str]:
    """A table, of the columns that are asked for."""
    shown = only(table_of(name, title), columns.split(", ")) if columns else table_of(name, title)
    rows = [[in_one_line(cell) for cell in row] for row in shown.cells]
    return simple_table([[plain(head) for head in shown.heads], *rows])


def in_one_line(cell: Text) -> str:
    """A cell whose interval is not broken between its ends."""
    return f"{plain(cell.value)} {cell.ends.replace(' ', chr(0xA0))}".strip()


def chart(name: str, title: str) -> list[str]:
    """A figure with its caption."""
    (told,) = (told for told in experiment(name)["charts"] if told["title"] == title)
    caption = textwrap.wrap(plain(told["caption"]), WIDTH - 3, break_on_hyphens=False)
    return [
        f".. figure:: {svg_path(name, told).relative_to(DOCS)}",
        f"   :alt: {plain(title)}",
        "",
        *(f"   {line}" for line in caption),
    ]


def command(name: str) -> list[str]:
    """What makes the numbers again."""
    return ["::", "", f"   {experiment(name)['command']}"]


def everything(name: str) -> Iterator[str]:
    """All that an experiment tells."""
    yield from findings(name)
    for title in experiment(name)["tables"]:
        yield from ("", f".. rubric:: {plain(title)}", "", *table(name, title))
    for told in experiment(name)["charts"]:
        yield from ("", *chart(name, told["title"]))
    yield from ("", *command(name))


BLOCKS: Mapping[str, Callable[..., Sequence[str] | Iterator[str]]] = {
    "findings": findings,
    "table": table,
    "chart": chart,
    "command": command,
    "all": everything,
}


def require(where: str, said: str) -> None:
    """Make sure that a number in prose is one of an experiment, as far as it is told.

    Parameters
    ----------
    where
        `experiment / table / row / column`: a row by the texts in it; of an interval its mean, or with
        ` / low` and ` / high` an end.

    Raises
    ------
    ValueError
        If it is another number.
    """
    name, title, row, column, *end = where.split(" / ")
    (chosen,) = (
        told
        for told in table_of(name, title).rows
        if ", ".join(cell for cell in told.values() if isinstance(cell, str)) == row
    )
    value: Any = chosen[column]
    if isinstance(value, list):
        value = value[("mean", "low", "high").index(end[0]) if end else 0]
    true = f"{value:.{len(said.partition('.')[2])}f}"
    if true != said:
        raise ValueError(f"{where}: the page says {said}, the experiment {true}; mend the sentence")


def table_of(name: str, title: str) -> Table:
    """A table of an experiment."""
    (found,) = (found for found in tables_of(experiment(name)) if found.title == title)
    return found


def only(whole: Table, columns: Sequence[str]) -> Table:
    """Some columns of a table, and the rows that tell more in them than who they are about."""
    rows = [{column: row.get(column) for column in columns} for row in whole.rows]
    numbers = [[cell for cell in row.values() if not isinstance(cell, str | int | None)] for row in rows]
    return Table(
        whole.title, [row for row, told in zip(rows, numbers, strict=True) if told], headings=whole.headings
    )


def svg_path(name: str, told: Mapping[str, Any]) -> Path:
    """Where a chart is drawn."""
    return RESULTS / name / f"{slug(told['title'])}.svg"


def digest(told: Mapping[str, Any]) -> str:
    """Last line of a drawn chart: which numbers it shows."""
    return f"<!-- {hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()} -->\n"


def draw(name: str) -> Iterator[tuple[Path, str]]:
    """Path and SVG of each chart of an experiment."""
    about = experiment(name)
    for told, drawn in zip(about["charts"], charts_of(about, RESULTS / f"{name}.json"), strict=True):
        yield svg_path(name, told), f"{drawn.svg.rstrip()}\n{digest(told)}"


def plain(text: str) -> str:
    """Text that reStructuredText shows as it is."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


@cache
def experiment(name: str) -> About:
    """What an experiment wrote."""
    return load(RESULTS / f"{name}.json")


def experiments() -> list[str]:
    """Names of all that have a JSON here."""
    return sorted(path.stem for path in RESULTS.glob("*.json"))


def pages() -> list[Path]:
    """Pages with a block or a number that is checked."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.rst"))}
    return [path for path, text in texts.items() if BLOCK.search(text) or CHECK.search(text)]


if __name__ == "__main__":
    for experiment_name in experiments():
        for svg, drawing in draw(experiment_name):
            svg.parent.mkdir(exist_ok=True)
            svg.write_text(drawing, encoding="utf-8")
    for rst in pages():
        rst.write_text(page(rst.read_text(encoding="utf-8")), encoding="utf-8")
