"""Write docs/faults.rst: every case of the fault battery, as the program answers it.

Usage, from the top of the repository::

    PYTHONPATH=. python docs/scripts/fault_matrix.py docs/faults.rst
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.app.faults.battery import run_over, run_spoilt, visit
from tests.app.faults.blemishes import BLEMISHES
from tests.app.faults.participants import FAULTS
from tests.app.faults.runs import RUN_FAULTS

ALONE = {"failed": 1, "no-source": 66}
"""Status of the only participant to the exit code of the run."""

HEAD = """\
Faults
======

What is wrong with an input is told in one line: the file, the fault, the remedy. Inputs stay byte-identical,
and other participants are completed. Every row is a test (``tests/app/test_faults.py``); the messages are
those of the program, written here by ``docs/scripts/fault_matrix.py``. Exit codes: :doc:`usage`.

"""

Rows = list[tuple[str, ...]]


def participant_rows(folder: Path) -> Rows:
    """Case, exit code for the participant alone, and message."""
    statuses = run_over(folder, FAULTS).statuses
    told = [statuses[visit(number)] for number in range(len(FAULTS))]
    return [
        (f"{fault.modality.name}: {fault.name}", str(ALONE[said["status"]]), _tidy(said["message"], folder))
        for fault, said in zip(FAULTS, told, strict=True)
    ]


def run_rows() -> Iterator[tuple[str, ...]]:
    """Case, exit code and message."""
    for fault in RUN_FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            ended = run_spoilt(Path(folder), fault)
            *_, last = ended.err.splitlines()
            yield fault.name, str(ended.code), _tidy(last, Path(folder))


def blemish_rows(folder: Path) -> Rows:
    """Case and warning."""
    statuses = run_over(folder, BLEMISHES).statuses
    rows = []
    for number, blemish in enumerate(BLEMISHES):
        parts = _tidy(statuses[visit(number)]["message"], folder).split("; warning: ")
        told = [part for part in parts[1:] if blemish.said and blemish.said in part]
        rows.append((f"{blemish.modality.name}: {blemish.name}", told[0] if told else ""))
    return rows


def _tidy(message: str, folder: Path) -> str:
    """The message with its paths from the dataset on."""
    short = message.replace(f"{folder}/bids/", "").replace(f"{folder}/", "")
    return re.sub(r"^(pds-bids: error|Error): ", "", short).replace("`", "'")


def table(title: str, heads: tuple[str, ...], rows: Rows) -> str:
    """A section with one list table."""
    widths = {2: "35 65", 3: "30 6 64"}[len(heads)]
    lines = [
        title,
        "-" * len(title),
        "",
        ".. list-table::",
        "   :header-rows: 1",
        f"   :widths: {widths}",
        "",
    ]
    for row in (heads, *rows):
        cells = [row[0], *(f"``{cell}``" if row is not heads and len(cell) > 3 else cell for cell in row[1:])]
        lines += [f"   {'*' if k == 0 else ' '} - {cell}".rstrip() for k, cell in enumerate(cells)]
    return "\n".join([*lines, "", ""])


def main(page: Path) -> None:
    """Run every case and write the page."""
    heads = ("What is wrong", "Code", "What is said")
    with tempfile.TemporaryDirectory() as folder:
        faults, blemishes = participant_rows(Path(folder) / "f"), blemish_rows(Path(folder) / "b")
    sections = [
        table("Participants", heads, faults),
        table("Whole runs", heads, list(run_rows())),
        table("Odd, and yet processed", ("What is odd", "What is said beside the result"), blemishes),
    ]
    page.write_text((HEAD + "\n".join(sections)).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
