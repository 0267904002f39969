"""What the documentation tells of experiments is what their JSON says, and what it names exists."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import pds_bids

DOCS = Path(__file__).resolve().parents[1] / "docs"
ROOMS = "|".join(room.name for room in pkgutil.iter_modules(pds_bids.__path__) if room.ispkg)
NAME = re.compile(rf"``(?:pds_bids\.)?((?:{ROOMS})\.[\w.]*\w)``")


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """`docs/scripts/results.py`, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("results", DOCS / "scripts" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date(results):
    for page in results.pages():
        text = page.read_text(encoding="utf-8")
        assert text == results.page(text), f"{page.name}: run python docs/scripts/results.py"


def test_charts_are_up_to_date(results):
    drawn = {
        results.svg_path(name, told): results.digest(told)
        for name in results.experiments()
        for told in results.experiment(name)["charts"]
    }
    assert set(DOCS.glob("results/*/*.svg")) == set(drawn)
    for path, digest in drawn.items():
        assert path.read_text(encoding="utf-8").endswith(digest), f"{path.name}: run docs/scripts/results.py"


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("results", r"(\d+\.\d+) dB"),
        ("experiments", r"(\d+\.\d+) dB"),
        ("experiments", r"\b(\d+\.\d\d+)\b"),
        ("trust", r"\b(\d+\.\d\d+)\b"),
    ],
)
def test_numbers_in_prose_are_checked(results, page, number):
    text = (DOCS / f"{page}.rst").read_text(encoding="utf-8")
    prose = results.CHECK.sub("", results.BLOCK.sub("", text))
    checked = {check["said"].lstrip("-") for check in results.CHECK.finditer(text)}
    assert checked
    assert set(re.findall(number, prose)) <= checked


@pytest.fixture
def told(results, tmp_path, monkeypatch):
    """An experiment of our own in place of those of the documentation."""
    about = {
        "command": "pds-model experiment x",
        "experiment": "x",
        "title": "X",
        "findings": ["No *effect* is_ shown."],
        "tables": {"T": [{"target": "bold", "method": "a", "psnr_db": [20.04, 19.0, 21.0], "mae": 0.1}]},
        "charts": [
            {
                "kind": "forest",
                "title": "Gains",
                "caption": "c",
                "data": {"x_label": "dB", "reference": 0, "series": {"a": [1, 0, 2]}},
            }
        ],
    }
    monkeypatch.setattr(results, "experiment", lambda name: {"x": about}[name])
    return results


def test_a_block_is_written_anew_and_the_rest_is_left_alone(told):
    text = "Before.\n\n.. begin: x / findings\n\n- old\n\n.. end\n\nAfter.\n"
    new = told.page(text)
    assert new == "Before.\n\n.. begin: x / findings\n\n- No \\*effect\\* is\\_ shown.\n\n.. end\n\nAfter.\n"
    assert told.page(new) == new


def test_a_table_is_of_the_columns_that_are_asked_for(told):
    lines = told.content("x / table / T / method, psnr_db").splitlines()
    assert [re.split(" {2,}", line) for line in lines[1:4:2]] == [
        ["Method", "PSNR (dB)"],
        ["a", "20.0 [19.0,\N{NO-BREAK SPACE}21.0]"],
    ]


def test_all_is_everything(told):
    text = told.content("x / all")
    for part in (
        "- No",
        "20.0 [19.0,\N{NO-BREAK SPACE}21.0]",
        "figure:: results/x/gains.svg",
        "   pds-model experiment x",
    ):
        assert part in text


@pytest.mark.parametrize("said", ["20", "20.0", "20.04"])
def test_a_number_in_prose_may_be_as_exact_as_it_likes(told, said):
    text = f"It is {said} dB.\n\n.. check: x / T / bold, a / psnr_db = {said}\n"
    assert told.page(text) == text


@pytest.mark.parametrize(
    "check", ["psnr_db = 20.1", "psnr_db / low = 20.0", "psnr_db / high = 20.0", "mae = 0.2"]
)
def test_a_number_in_prose_that_is_another_is_refused(told, check):
    with pytest.raises(ValueError, match="mend the sentence"):
        told.page(f".. check: x / T / bold, a / {check}\n")


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.rst")), ids=lambda page: page.stem)
def test_what_a_page_names_is_in_the_code(page):
    for name in NAME.findall(page.read_text(encoding="utf-8")):
        pkgutil.resolve_name(f"pds_bids.{name}")


def test_the_walk_goes_from_the_command_line_to_the_last_file():
    walk = NAME.findall((DOCS / "architecture.rst").read_text(encoding="utf-8"))

    assert walk[0] == "cli.main.command"
    assert len(walk) > 30


def test_what_the_readme_links_to_is_there():
    readme = DOCS.parent / "README.rst"
    links = re.findall(r"<([^>:]+)>`_|^\.\. image:: (.+)$", readme.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(links) > 5
    for link in links:
        assert (DOCS.parent / "".join(link)).exists()
