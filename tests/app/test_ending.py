"""A visit of which one target is made and the other one refused: what stays, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pds_bids.app import visit
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.prep.reduced import Reduced
from pds_bids.prep.source import Prepared
from pds_bids.synthesis.pipeline import Synthesiser

from .faults.battery import Ended, call, flat_brain
from .faults.people import add_description
from .test_leaks import image, prepared_from, volume
from .test_runs import add_series

NOISY, SOUND = 4.0, 40.0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Signal to noise of each source -> how `--strict-qc --evaluate` ended; nothing is registered."""
    for modality in Modality:
        add_series(tmp_path / "bids", "sub-01", modality)
    add_description(tmp_path / "bids")
    for table in ("dwi.bval", "dwi.bvec"):
        (tmp_path / "bids" / table).write_text("nobody looks inside")

    def ended(snr: dict[Modality, float]) -> Ended:
        def reduce(series: Any, _: object) -> Reduced:
            facts = {"n_used": 2, "n_volumes": 2, "snr": snr[series.modality]}
            return Reduced(series.path, volume(image(0)), facts, ())

        def prepare(reduced: Reduced, *_: Any, **__: Any) -> Prepared:
            quality = {"dice": 0.95, "coverage": 1.0}
            return replace(prepared_from(reduced), facts=reduced.facts | {"alignment": quality})

        def score(*_: object) -> None:
            raise ParticipantError("the reference", "is not scored", "")

        monkeypatch.setattr(visit, "reduce_series", reduce)
        monkeypatch.setattr(visit, "prepare", prepare)
        monkeypatch.setattr(visit, "scoring_reference", score)
        monkeypatch.setattr(Synthesiser, "synthesise", flat_brain)
        options = "--strict-qc --evaluate --output-spaces native -w WORK"
        places = {"BIDS": tmp_path / "bids", "OUT": tmp_path / "out", "WORK": tmp_path / "work"}
        return call(f"BIDS OUT participant {options}", **places)

    return ended


@pytest.mark.parametrize("refused", Modality)
def test_what_passed_stays_and_all_say_which_was_refused(
    run: Callable[..., Ended], tmp_path: Path, refused: Modality
) -> None:
    made, out = refused.other, tmp_path / "out"
    ended = run({made: NOISY, refused: SOUND})  # the target is refused for its source
    assert ended.code == 1
    synthetic = [path.name for path in out.rglob("*_desc-synth_*.nii.gz")]
    assert [name.endswith(f"_{made.mean_suffix}.nii.gz") for name in synthetic] == [True]
    (status,) = out.glob("sub-01/log/*/status.json")
    told = json.loads(status.read_text())
    complaint = f"{refused.full_name} was not synthesised: {tmp_path / 'bids'}"
    assert told["status"] == "failed"
    assert told["message"].startswith(f"synthesised {made.full_name}; {complaint}")
    assert f"only {NOISY} times the noise" in told["message"]
    assert "\n" not in told["message"]
    assert complaint in (page := (out / "sub-01.html").read_text())
    assert f"Synthesised {made.full_name}" in page
    assert f"Synthesised {refused.full_name}" not in page
    assert not (out / "sub-01/log/complete.json").exists()  # a rerun tries again

    call("BIDS OUT group", BIDS=tmp_path / "bids", OUT=out)
    heads, row = (line.split("\t") for line in (out / "group_synthesis.tsv").read_text().splitlines())
    group = dict(zip(heads, row, strict=True))
    assert (group["status"], group["synthetic"]) == ("failed", made.mean_suffix)
    assert complaint in group["message"]


def test_where_both_are_refused_both_causes_are_told(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(dict.fromkeys(Modality, NOISY))
    assert ended.code == 1
    (line,) = (line for line in ended.err.splitlines() if "sub-01: failed" in line)
    assert line.count(f"only {NOISY} times the noise") == 2
    assert not list((tmp_path / "out").rglob("*_desc-synth_*"))
