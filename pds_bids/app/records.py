"""What a page says, kept beside the figures, so that it can be rendered again without any computation."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from pds_bids.bids.completion import page_path, record_size
from pds_bids.bids.inventory import Visit
from pds_bids.bids.writing import write_json, write_text
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError, ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.report.page import Crash, ParticipantPage, Section, render_participant


def write_page(out: Path, visit: Visit, page: ParticipantPage) -> list[Path]:
    """Figures, page, and the record of the page; returns their paths."""
    for section in page.sections:
        write_text(out / section.figure, section.svg)
    record, html = _record_path(out, visit), page_path(out, visit.subject, visit.session)
    content = asdict(page)
    content["sections"] = [
        {name: value for name, value in asdict(section).items() if name != "svg"} for section in page.sections
    ]
    write_json(record, content)
    write_text(html, render_participant(page))
    return [html, record, *(out / section.figure for section in page.sections)]


def read_page(out: Path, visit: Visit) -> ParticipantPage | None:
    """The page as it was written; None where no run has written one.

    Raises
    ------
    ParticipantError
        If its record or a figure is damaged or gone.
    """
    record = _record_path(out, visit)
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        sections = [
            Section(svg=_inside(out, section["figure"]).read_text(encoding="utf-8"), **section)
            for section in content["sections"]
        ]
        modalities = {
            name: [Modality(value) for value in content[name]] for name in ("acquired", "synthesised")
        }
        crash = content["crash"] and Crash(**content["crash"])
        return ParticipantPage(**content | modalities | {"sections": sections, "crash": crash})
    except FileNotFoundError as error:
        if error.filename == str(record):
            return None
        raise _damaged(Path(error.filename), "is gone") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(record, f"cannot be read ({error})") from error


def render_again(config: Config, visits: list[Visit]) -> int:
    """Write the pages of visits that have a record anew, and nothing else.

    Returns
    -------
    int
        0, or 1 if a record cannot be read.

    Raises
    ------
    NoUsableParticipantError
        If no visit has one.
    """
    out = config.output_dir
    pages, failed = _pages(out, visits)
    for visit, page in pages.items():
        html = page_path(out, visit.subject, visit.session)
        write_text(html, render_participant(page))
        record_size(out, visit.subject, visit.session, html)
        print(f"report: {html}", flush=True)
    return int(failed)


def write_boilerplate(config: Config, visits: list[Visit]) -> int:
    """Print the methods text of visits that have a record, each paragraph once, and keep it in the logs.

    Returns
    -------
    int
        0, or 1 if a record cannot be read.

    Raises
    ------
    NoUsableParticipantError
        If no visit has one.
    """
    found, failed = _pages(config.output_dir, visits)
    pages = found.values()
    paragraphs = dict.fromkeys(text for page in pages for text in page.methods)
    works = dict.fromkeys(work for page in pages for work in page.references)
    text = "\n\n".join([*paragraphs, "References", *works]) + "\n"
    write_text(config.output_dir / "logs" / "CITATION.md", text)
    print(text, end="", flush=True)
    return int(failed)


def _pages(out: Path, visits: list[Visit]) -> tuple[dict[Visit, ParticipantPage], bool]:
    """The pages that were written, and whether the record of another one is damaged, which gets a line."""
    pages: dict[Visit, ParticipantPage] = {}
    failed = False
    for visit in visits:
        try:
            if page := read_page(out, visit):
                pages[visit] = page
        except ParticipantError as error:
            failed = True
            print(f"{visit.label}: failed {error}", file=sys.stderr, flush=True)
    if not (pages or failed):
        raise NoUsableParticipantError(
            f"{out}: no selected participant was processed; run without --reports-only and"
            " --boilerplate-only first"
        )
    return pages, failed


def _record_path(out: Path, visit: Visit) -> Path:
    return visit.folder(out) / "log" / "page.json"


def _inside(out: Path, name: str) -> Path:
    """A figure below the output folder; a record from elsewhere may not name another file."""
    if not (out / name).resolve().is_relative_to(out.resolve()):
        raise ValueError(f"{name} lies outside the output folder")
    return out / name


def _damaged(path: Path, fault: str) -> ParticipantError:
    return ParticipantError(path, fault, "process this participant again with --overwrite")
