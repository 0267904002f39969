import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.modality import Modality
from pds_bids.report.page import ParticipantPage, Section, render_participant

HOSTILE = """"><script>alert('1')</script><img src=x onerror=alert(1)> & {{ 7 * 7 }}"""
VOID = {"meta", "img", "br", "link"}

SVG = """<svg xmlns="http://www.w3.org/2000/svg"><text>100 % "L" &amp; #1</text></svg>\n"""
PAGE = ParticipantPage(
    subject="01",
    session="pre",
    acquired=[Modality.BOLD],
    synthesised=[Modality.DWI],
    summary={"Acquired": {"Volumes averaged": 176, "Template overlap": 0.931234, "T1w used": True}},
    sections=[
        Section("Source", "sub-01/figures/source.svg", SVG, "The mean of the acquired volumes."),
        Section("Synthesised dMRI", "sub-01/figures/synth.svg", SVG, "Computed from the source.", True),
    ],
    scores=[{"estimate": "synthesised", "PSNR": 20.51}, {"estimate": "template", "SSIM": 0.7}],
    warnings=["coverage is low"],
    errors=["a file is truncated"],
    methods=["First paragraph.", "Second paragraph."],
    references=["Someone. Some work."],
    settings={"model": "base"},
    versions={"torch": "2.13.0"},
)
PLAIN = ParticipantPage("02", None, [Modality.DWI, Modality.BOLD], [], {})


class Reader(HTMLParser):
    """Tags with their attributes, and the text between them; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_everything_is_on_the_page():
    text = Reader(render_participant(PAGE)).text
    for expected in (
        "sub-01, ses-pre",
        "mean fMRI (BOLD) acquired",
        "mean dMRI (trace) missing, synthesised",
        "Volumes averaged 176",
        "Template overlap 0.9312",
        "T1w used yes",
        "Synthesised dMRI SYNTHETIC",
        "Computed from the source.",
        "estimate PSNR SSIM synthesised 20.51 n/a template n/a 0.7",
        "coverage is low",
        "a file is truncated",
        "First paragraph. Second paragraph.",
        "Someone. Some work.",
        "model base",
        "torch 2.13.0",
    ):
        assert expected in text


def test_every_link_of_the_contents_leads_somewhere():
    reader = Reader(render_participant(PAGE))
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    links = [
        attributes["href"] for attributes in reader.all("a") if (attributes["href"] or "").startswith("#")
    ]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} == set(ids)


def test_a_page_without_synthesis_has_no_banner_and_no_empty_parts():
    html = render_participant(PLAIN)
    assert "SYNTHETIC" not in Reader(html).text
    assert re.findall(r"<h2>(.*?)</h2>", html) == []
    assert "sub-02" in html
    assert "ses-" not in html


@pytest.mark.parametrize(
    "page",
    [replace(PLAIN, synthesised=[Modality.BOLD]), replace(PLAIN, sections=[replace(PAGE.sections[1])])],
    ids=["modality", "figure"],
)
def test_anything_synthetic_raises_the_banner(page):
    assert "no connectivity analysis and no tractography" in Reader(render_participant(page)).text
    assert '<div class="banner"' in render_participant(page)


def test_a_test_says_so_in_a_banner_of_its_own():
    assert "TEST ONLY" not in Reader(render_participant(PAGE)).text
    html = render_participant(replace(PAGE, test_only=True))
    assert html.count('<div class="banner') == 2
    assert "TEST ONLY" in Reader(html).text


def test_the_page_is_complete_in_itself():
    reader = Reader(render_participant(PAGE))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in reader.tags}
    for image in reader.all("img"):
        scheme, _, content = (image["src"] or "").partition(",")
        assert scheme == "data:image/svg+xml"
        assert unquote(content) == SVG
    policy = next(meta for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_pictures_are_described_in_words():
    alts = [image["alt"] for image in Reader(render_participant(PAGE)).all("img")]
    assert alts == [
        "Source. The mean of the acquired volumes.",
        "SYNTHETIC. Synthesised dMRI. Computed from the source.",
    ]


def hostile_page(text: str) -> ParticipantPage:
    """A page with one text everywhere."""
    return ParticipantPage(
        subject=text,
        session=text,
        acquired=[],
        synthesised=[],
        summary={text: {text: text}},
        sections=[Section(text, text, SVG, text, True)],
        scores=[{text: text}],
        warnings=[text],
        errors=[text],
        methods=[text],
        references=[text],
        settings={text: text},
        versions={text: text},
    )


@given(
    st.one_of(st.just(HOSTILE), st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1))
)
def test_no_text_becomes_markup(text):
    reader, calm = (
        Reader(render_participant(hostile_page(text))),
        Reader(render_participant(hostile_page("x"))),
    )
    assert [(tag, set(attributes)) for tag, attributes in reader.tags] == [
        (tag, set(attributes)) for tag, attributes in calm.tags
    ]
    assert " ".join(text.split()) in reader.text


def test_a_figure_path_cannot_carry_a_scheme():
    page = replace(PLAIN, sections=[Section("Figure", "javascript:alert(1)", SVG, "caption")])
    targets = [attributes["href"] for attributes in Reader(render_participant(page)).all("a")]
    assert "javascript%3Aalert%281%29" in targets


def test_embedding_costs_little():
    picture = "<svg>" + "iVBORw0KGgo+/AAA=" * 20_000 + "</svg>"
    page = replace(PLAIN, sections=[Section("Figure", "f.svg", picture, "caption")])
    assert len(render_participant(page)) < 1.05 * len(picture) + 10_000
