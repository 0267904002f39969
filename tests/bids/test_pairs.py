"""Which visits of a derivative dataset hold pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pds_bids.bids.pairs import Direction, find_pairs, participants_table
from pds_bids.core.modality import Modality


def visit(folder: Path, name: str, *, t1w: bool = False) -> list[Path]:
    """Empty files as a run writes them for one visit."""
    stem = folder / name
    label = name.replace("/", "_")
    func, dwi, model = f"func/{label}_task-rest", f"dwi/{label}", "space-model_res-2_desc"
    names = [
        f"{func}_{model}-preproc_boldref",
        f"{dwi}_{model}-reference_trace",
        f"{dwi}_{model}-reference_mask",
        f"{dwi}_{model}-preproc_trace",
        f"{func}_{model}-reference_boldref",
        f"{func}_{model}-reference_mask",
        f"{func}_{model}-brain_mask",
        f"{dwi}_{model}-brain_mask",
        *(f"anat/{label}_{model}-{m}context_T1w" for m in ("bold", "dwi") if t1w),
    ]
    others = [f"{func}_space-MNI152NLin2009aSym_res-2_desc-preproc_boldref", f"{func}_{model}-synth_boldref"]
    for made in (*names, *others):
        (stem / made).parent.mkdir(parents=True, exist_ok=True)
        (stem / f"{made}.nii.gz").touch()
    return [stem / f"{made}.nii.gz" for made in names]


def test_each_direction_has_its_own_files(tmp_path: Path) -> None:
    bold, trace, trace_reach, dwi, boldref, boldref_reach, bold_brain, dwi_brain, bold_t1w, dwi_t1w = visit(
        tmp_path, "sub-01", t1w=True
    )
    (found,) = find_pairs(tmp_path)
    assert (found.subject, found.session) == ("01", None)
    from_bold, from_dwi = (found.directions[source] for source in Modality)
    assert from_bold == Direction(bold, trace, bold_brain, trace_reach, bold_t1w)
    assert from_dwi == Direction(dwi, boldref, dwi_brain, boldref_reach, dwi_t1w)


def test_sessions_are_rows_of_their_own_and_a_t1w_is_optional(tmp_path: Path) -> None:
    for name in ("sub-10", "sub-2/ses-b", "sub-2/ses-a"):
        visit(tmp_path, name)
    found = find_pairs(tmp_path)
    assert [(each.subject, each.session) for each in found] == [("2", "a"), ("2", "b"), ("10", None)]
    assert all(d.t1w is None for each in found for d in each.directions.values())


@pytest.mark.parametrize("lacking", range(8))
def test_a_visit_that_lacks_anything_is_left_out(tmp_path: Path, lacking: int) -> None:
    visit(tmp_path, "sub-01")[lacking].unlink()
    assert find_pairs(tmp_path) == []


@pytest.mark.parametrize("beside", [False, True])
def test_the_people_are_described_by_the_raw_dataset(tmp_path: Path, beside: bool) -> None:
    raw = tmp_path / "my data"
    out = (raw / "derivatives" / "pds") if beside else tmp_path / "out"
    out.mkdir(parents=True)
    raw.mkdir(exist_ok=True)
    (raw / "participants.tsv").touch()
    link = "../.." if beside else raw.as_uri()
    (out / "dataset_description.json").write_text(json.dumps({"DatasetLinks": {"raw": link}}))
    assert participants_table(out) == raw / "participants.tsv"
    (out / "participants.tsv").touch()
    assert participants_table(out) == out / "participants.tsv"


@pytest.mark.parametrize(
    "description", [None, "[]", "{}", '{"DatasetLinks": {"raw": "https://example.org/ds"}}']
)
def test_people_of_whom_nothing_is_said(tmp_path: Path, description: str | None) -> None:
    if description:
        (tmp_path / "dataset_description.json").write_text(description)
    assert participants_table(tmp_path) is None
