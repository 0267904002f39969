"""`pds-bids` called as from a shell, over one participant a fault."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pds_bids.cli import main
from pds_bids.core.config import SynthesisConfig
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.synthesis.pipeline import Synthesiser
from pds_bids.synthesis.result import Draws, Synthesised

from .blemishes import Blemish
from .participants import Fault
from .people import add_description, add_participant
from .runs import Place, RunFault

QUICK = "BIDS OUT participant --sloppy --omp-nthreads 1 --output-spaces native -w WORK"
SOUND = "sub-sound"


class Ended(NamedTuple):
    """Exit code, and both streams."""

    code: int
    out: str
    err: str


class Battery(NamedTuple):
    """One run over spoilt participants and a sound one.

    Attributes
    ----------
    ended
        How the run ended.
    statuses
        Visit to its status.
    before, after
        What the dataset held.
    """

    ended: Ended
    statuses: dict[str, dict[str, str]]
    before: dict[str, str]
    after: dict[str, str]


def call(line: str, **places: Path) -> Ended:
    """Run one command line; words such as BIDS are filled in from `places`."""
    for word, path in places.items():
        line = line.replace(word, str(path))
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main(line.split())
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def visit(number: int) -> str:
    """Whom a case befalls.

    >>> visit(7)
    'sub-007'
    """
    return f"sub-{number:03}"


def run_over(folder: Path, cases: Sequence[Fault | Blemish]) -> Battery:
    """One participant a case, and a sound one, in one run."""
    bids, out = folder / "bids", folder / "out"
    add_description(bids)
    for number, case in enumerate(cases):
        case.spoil(add_participant(bids, visit(number), case.modality))
    add_participant(bids, SOUND, Modality.BOLD)
    before = state(bids)
    ended = call(QUICK, BIDS=bids, OUT=out, WORK=folder / "work")
    found = (json.loads(path.read_text()) for path in out.glob("sub-*/log/*/status.json"))
    return Battery(ended, {told["visit"]: told for told in found}, before, state(bids))


def run_spoilt(folder: Path, fault: RunFault) -> Ended:
    """One run that goes wrong."""
    place = Place(folder / "bids", folder / "out")
    add_description(place.bids)
    add_participant(place.bids, "sub-01", Modality.BOLD)
    fault.spoil(place)
    return call(fault.call, BIDS=place.bids, OUT=place.out, HERE=folder)


def state(folder: Path) -> dict[str, str]:
    """The bytes of files and the ends of links, by name."""

    def of(path: Path) -> str:
        if path.is_symlink():
            return os.readlink(path)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"

    return {path.relative_to(folder).as_posix(): of(path) for path in sorted(folder.rglob("*"))}


def flat_brain(
    self: Synthesiser,
    source: Volume,
    mask: Volume,
    target: Modality,
    config: SynthesisConfig,
    seed: int,
    t1w: Volume | None = None,
) -> Synthesised:
    """Stands for `Synthesiser.synthesise`, whose networks take their time: 1 in the brain, known exactly."""
    nothing = Volume(np.zeros(MODEL_GRID.shape, np.float32), MODEL_GRID.affine, MODEL_SPACE)
    draws = Draws((mask,) * config.num_samples, mask, nothing) if config.num_samples else None
    record = self._record(target, config, t1w_context=t1w is not None)
    return Synthesised(mask, nothing, draws, 1.0, 2.0, record)
