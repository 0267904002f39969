"""The page of results: complete, safe, and clear about whose numbers these are."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pds_bids.report.results import BANNERS, Chart, Part, ResultsPage, render_results
from pds_bids.report.tables import Table, interval_decimals

HOSTILE = """"><script>alert('1')</script><img src=x onerror=alert(1)> & {{ 7 * 7 }}"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg"><text>100 % "L" &amp; #1</text></svg>\n"""


class Reader(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def part(text: str) -> Part:
    """Everything a part may hold, with a text wherever there is one."""
    table = Table(text, [{text: text, "gain": [1.0, 0.5, 1.5]}, {text: None}], {"gain": text})
    return Part(text, "simulated", [text], [table], [Chart(text, SVG, text)], text, {text: text})


def test_findings_come_first_and_provenance_last():
    said = Reader(render_results(ResultsPage("Worth", [part("word")]))).text
    places = [said.index(text) for text in ("Findings", "1.00 [0.50, 1.50]", "How these numbers came about")]
    assert places == sorted(places)


def test_no_text_becomes_markup():
    hostile, calm = (Reader(render_results(ResultsPage(text, [part(text)]))) for text in (HOSTILE, "x"))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in calm.tags]
    assert hostile.text.count(HOSTILE) == len([word for word in calm.words if word == "x"]) + 1  # the title


@pytest.mark.parametrize("subjects", BANNERS)
def test_a_banner_says_whose_numbers_these_are(subjects):
    said = Reader(render_results(ResultsPage("Worth", [replace(part("word"), subjects=subjects)]))).text
    assert [text in said for _, text in BANNERS.values()] == [kind == subjects for kind in BANNERS]


def test_a_page_of_several_experiments_names_the_subjects_of_each():
    parts = [part("One"), replace(part("Two"), subjects="real"), part("Three")]
    reader = Reader(render_results(ResultsPage("Worth", parts)))
    assert [reader.text.count(BANNERS[kind][0]) for kind in ("simulated", "real")] == [3, 2]
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    ids = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    assert {link[1:] for link in links} == ids


def test_the_page_loads_nothing():
    reader = Reader(render_results(ResultsPage("Worth", [part("word")])))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert all(str(a["src"]).startswith("data:image/svg+xml,") for tag, a in reader.tags if tag == "img")


def test_the_intervals_of_a_column_have_equally_many_decimal_places():
    table = Table("t", [{"a": [1, 0.5, 1.5]}, {"a": [-0.001, -0.4, 0.6]}, {"a": None}, {"a": "text"}])
    assert [str(cell) for (cell,) in table.cells] == [
        "1.00 [0.50, 1.50]",
        "0.00 [-0.40, 0.60]",
        "n/a",
        "text",
    ]


def test_keys_of_any_row_are_columns_and_may_have_another_heading():
    table = Table("t", [{"a": 1}, {"b": 2}], {"b": "B"})
    assert table.heads == ["a", "B"]
    assert [[str(cell) for cell in row] for row in table.cells] == [["1", "n/a"], ["n/a", "2"]]


def test_a_column_of_points_has_three_decimal_places():
    assert interval_decimals([[0.0, 0.0, 0.0], None, [1.0, None, None]]) == 3


def test_a_cell_leads_where_it_is_told_to_and_nowhere_else():
    table = Table(
        "t", [{"visit": "sub-01.html"}, {"visit": "javascript:x"}], links={"javascript:x": "javascript:x"}
    )
    reader = Reader(render_results(ResultsPage("Worth", [replace(part("word"), tables=[table])])))
    assert [a["href"] for tag, a in reader.tags if tag == "a"] == ["javascript%3Ax"]
