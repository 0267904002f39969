import re
from dataclasses import replace

import pytest

from pds_bids.core.modality import Modality
from pds_bids.report.boilerplate import MethodFacts, methods, references

FULL = MethodFacts(
    app_version="0.1.0",
    source=Modality.BOLD,
    target=Modality.DWI,
    n_volumes=176,
    through_t1w=True,
    t1w_context=True,
    native=True,
    nonlinear=True,
    model="base",
    model_version="1",
    weights_sha256="0123456789abcdef",
    num_samples=4,
    steps=8,
    seed=42,
    sloppy=True,
    evaluated=True,
    versions={"torch": "2.13.0", "antspyx": "0.6.3"},
)
LEAST = replace(
    FULL,
    through_t1w=False,
    t1w_context=False,
    nonlinear=False,
    num_samples=0,
    sloppy=False,
    evaluated=False,
    versions={},
)
CITATION = re.compile(r"[A-Z]\w+ et al\., \d{4}")


@pytest.mark.parametrize("facts", [FULL, LEAST])
def test_the_first_sentence_says_that_it_is_synthetic(facts):
    sentence = methods(facts)[0].split(". ")[0]
    for word in (
        "SYNTHETIC",
        "no time axis",
        "no gradient table",
        "no connectivity",
        "no tractography",
        "research",
    ):
        assert word in sentence
    assert "never for diagnosis" in sentence


@pytest.mark.parametrize("source", list(Modality))
@pytest.mark.parametrize("facts", [FULL, LEAST])
def test_every_citation_has_its_entry_and_every_entry_its_citation(facts, source):
    paragraphs = methods(replace(facts, source=source, target=source.other))
    cited = list(dict.fromkeys(CITATION.findall(" ".join(paragraphs))))
    entries = references(paragraphs)
    assert len(entries) == len(cited) > 5
    for citation, entry in zip(cited, entries, strict=True):
        assert entry.startswith(citation.split()[0])
        assert citation[-4:] in entry


def test_facts_are_told():
    text = " ".join(methods(FULL))
    for fact in (
        "176 volumes",
        "T1-weighted",
        "SyN",
        "model base 1",
        "0123456789ab",
        "4 draws of 8 steps",
        "seed 42",
        "--sloppy",
        "torch 2.13.0, antspyx 0.6.3",
        "served only to score it",
    ):
        assert fact in text


def test_what_was_not_done_is_not_told():
    text = " ".join(methods(LEAST))
    for absent in ("T1-weighted", "SyN", "DDIM", "--sloppy", "Software", "score"):
        assert absent not in text


@pytest.mark.parametrize("facts", [FULL, LEAST, replace(LEAST, n_volumes=1)])
def test_it_reads_as_prose(facts):
    for paragraph in methods(facts):
        assert paragraph.endswith(".")
        assert not re.search(r"\s{2}|\s[.,;)]|,[^\s\d]|\(\s|\{|\}", paragraph)
    assert ("1 volume entered" in methods(facts)[1]) == (facts.n_volumes == 1)
