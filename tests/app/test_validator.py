"""The BIDS validator finds nothing wrong, whatever a run was asked for and however it ended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import pytest

from pds_bids.app import group, visit
from pds_bids.bids.sources import Series
from pds_bids.cli import main
from pds_bids.core.config import Config

pytestmark = pytest.mark.slow

N_VOLUMES = 10


def faults(dataset: Path) -> list[tuple[str, str, str]]:
    """Severity, code and file of everything that the validator complains about."""
    program = Path(sys.executable).with_name("bids-validator-deno")
    command = [str(program), str(dataset), "--format", "json"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    issues = json.loads(said)["issues"]["issues"]
    return [(issue["severity"], issue["code"], issue.get("location", "")) for issue in issues]


def cut(file: Path, copy: Path) -> None:
    """The first volumes of a series with its side files; `copy` has no extension."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    nb.nifti1.load(file).slicer[..., :N_VOLUMES].to_filename(f"{copy}.nii.gz")
    stem = file.name.removesuffix(".nii.gz")
    for side in (".json", ".bval", ".bvec"):
        source = file.with_name(stem + side)
        if source.exists():
            rows = source.read_text().splitlines()
            cells = rows if side == ".json" else [" ".join(row.split()[:N_VOLUMES]) for row in rows]
            Path(f"{copy}{side}").write_text("\n".join(cells) + "\n")


@pytest.fixture
def sessions(shared_data: Path, tmp_path: Path) -> Path:
    """Real scans: sub-01 with two runs of BOLD in one session, a DWI in the other; sub-02 will crash."""
    real, bids = shared_data / "bids_real", tmp_path / "bids"
    bids.mkdir()
    shutil.copy(real / "dataset_description.json", bids)
    bold, dwi = real / "sub-01/func/sub-01_task-rest_bold.nii.gz", real / "sub-01/dwi/sub-01_dwi.nii.gz"
    for run in "12":
        cut(bold, bids / f"sub-01/ses-a/func/sub-01_ses-a_task-rest_run-{run}_bold")
    cut(dwi, bids / "sub-01/ses-b/dwi/sub-01_ses-b_acq-60_run-1_dwi")
    cut(dwi, bids / "sub-02/ses-a/dwi/sub-02_ses-a_dwi")
    anat = bids / "sub-01/ses-a/anat"
    anat.mkdir()
    for file in (real / "sub-01/anat").iterdir():
        shutil.copy(file, anat / file.name.replace("sub-01_", "sub-01_ses-a_"))
    return bids


def test_real_sessions_and_runs_with_draws_and_a_crash(
    sessions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_series = visit.reduce_series

    def buggy(series: Series, *rest: object) -> object:
        if "sub-02" in series.path.name:
            raise ZeroDivisionError("a bug")
        return reduce_series(series, *rest)

    monkeypatch.setattr(visit, "reduce_series", buggy)
    out = tmp_path / "out"
    options = "--sloppy --omp-nthreads 1 --num-samples 2 --sampling-steps 2 --save-draws --resource-monitor"
    spaces = "--output-spaces native MNI152NLin2009aSym model"
    with pytest.raises(SystemExit) as ended:
        main.main([str(sessions), str(out), "participant", *options.split(), *spaces.split()])
    assert ended.value.code == 1
    group.run(Config(sessions, out, tmp_path / "work"))

    made = {path.name for path in out.rglob("*.nii.gz")}
    assert {name.split("_")[1] for name in made} == {"ses-a", "ses-b"}
    assert any("_desc-synthdraw2_" in name for name in made)
    assert list(out.glob("sub-02/ses-a/log/*/crash-*.txt"))
    assert faults(out) == []
