"""`pds-model simulate`: a BIDS dataset that a validator accepts, with the truth beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from pds_bids.app import simulation
from pds_bids.app.anatomies import aligned_structures, label_maps
from pds_bids.app.demo import write_study
from pds_bids.app.studyfolder import claim_folder, remove_unfinished, write_study_files
from pds_bids.app.visitfiles import TRUTH, VisitFiles, sidecar
from pds_bids.bids.inventory import inventory
from pds_bids.core.config import Selection
from pds_bids.core.errors import CannotWriteError, ParticipantError, PdsError, TemporaryError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.simulation.atrophy import VolumesNotReached
from pds_bids.simulation.cohort import Visit
from pds_bids.simulation.regions import Region
from pds_bids.simulation.sites import SITES

RECOMMENDED_BUT_UNKNOWN = {
    "ManufacturersModelName",
    "DeviceSerialNumber",
    "StationName",
    "ReceiveCoilName",
    "ReceiveCoilActiveElements",
    "MatrixCoilMode",
    "CoilCombinationMethod",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "SequenceName",
    "SequenceVariant",
    "PulseSequenceDetails",
    "DwellTime",
    "CogAtlasID",
    "CogPOID",
    "HEDVersion",
    "SourceDatasets",
}
"""Fields that the validator recommends: docs/simulator.rst lists them."""


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def study(n_subjects: int = 4, sessions: int = 1, seed: int = 0) -> Sequence[Visit]:
    return simulation.Study(n_subjects, ("oasis",), ("nc", "ad"), sessions=sessions, seed=seed).visits()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_processes(raw: Path, tmp_path: Path) -> None:
    write_study(tmp_path / "bids", seed=0, processes=2)
    assert digests(tmp_path / "bids") == digests(raw)


@pytest.mark.slow
def test_what_was_not_acquired_is_found_with_the_truth_alone(raw: Path) -> None:
    found = {path.relative_to(raw).as_posix() for path in raw.rglob("*.nii.gz") if "_dseg" not in path.name}
    truth = TRUTH.as_posix()
    assert found == {
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/dwi/sub-01_dwi.nii.gz",
        "sub-02/func/sub-02_task-rest_bold.nii.gz",
        f"{truth}/sub-02/dwi/sub-02_dwi.nii.gz",
        "sub-03/dwi/sub-03_dwi.nii.gz",
        f"{truth}/sub-03/func/sub-03_task-rest_bold.nii.gz",
    }
    state = json.loads((raw / TRUTH / "sub-02" / "sub-02_condition.json").read_text())
    assert state["missing"] == "dwi"
    regions = np.asarray(nb.load(next((raw / TRUTH / "sub-02").rglob("*label-regions_dseg.nii.gz"))).dataobj)
    assert 2 < (regions == Region.HIPPOCAMPUS).sum() / 1000 < 12  # ml, both sides


@pytest.mark.slow
def test_the_inventory_never_looks_at_the_truth(raw: Path) -> None:
    lacking = {visit.subject: set(Modality) - set(visit.acquired) for visit in inventory(raw, Selection())}
    assert lacking == {"01": set(), "02": {Modality.DWI}, "03": {Modality.BOLD}}


@pytest.mark.slow
def test_the_validator_finds_no_error(raw: Path) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    report = subprocess.run([validator, raw, "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(report.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert {issue["subCode"] for issue in issues} <= RECOMMENDED_BUT_UNKNOWN


@pytest.mark.slow
def test_the_gradient_table_fits_the_series(raw: Path) -> None:
    stem = raw / "sub-03" / "dwi" / "sub-03_dwi"
    series = nb.load(stem.with_suffix(".nii.gz"))
    bvals, bvecs = np.loadtxt(stem.with_suffix(".bval")), np.loadtxt(stem.with_suffix(".bvec"))
    protocol = SITES["oasis"].protocols[Modality.DWI]
    assert series.shape == (*protocol.shape, len(bvals)) == (*protocol.shape, bvecs.shape[1])
    assert series.header.get_zooms()[3] == pytest.approx(protocol.tr_s)
    assert np.linalg.norm(bvecs, axis=0) == pytest.approx((bvals > 0).astype(float), abs=1e-5)


def test_every_session_has_its_age(tmp_path: Path) -> None:
    visits = study(n_subjects=2, sessions=3)
    write_study_files(tmp_path, visits)
    rows = (tmp_path / "sub-02" / "sub-02_sessions.tsv").read_text().split("\n")
    first = visits[3].person.age
    assert rows == ["session_id\tage", *(f"ses-0{k + 1}\t{first + k:.1f}" for k in range(3)), ""]
    assert (
        (tmp_path / "participants.tsv")
        .read_text()
        .startswith("participant_id\tage\tsex\tsite\tgroup\nsub-01\t")
    )
    assert VisitFiles(tmp_path, visits[3]).name == "sub-02/ses-01"


def test_the_table_tells_the_diagnosis_on_record(tmp_path: Path) -> None:
    visit = study()[0]
    other = next(v.person.group for v in study() if v.person.group is not visit.person.group)
    write_study_files(tmp_path, [replace(visit, diagnosis=other)])
    assert (tmp_path / "participants.tsv").read_text().endswith(f"\t{other}\n")


@pytest.mark.parametrize("site", SITES)
def test_sidecars_say_how_it_was_acquired(site: str) -> None:
    for protocol in SITES[site].protocols.values():
        facts = sidecar(protocol)
        times = facts["SliceTiming"]
        assert len(times) == protocol.shape[2]
        assert 0 == min(times) <= max(times) < facts["RepetitionTime"]
        steps = protocol.shape["ijk".index(facts["PhaseEncodingDirection"][0])] - 1
        assert facts["EffectiveEchoSpacing"] * steps == pytest.approx(facts["TotalReadoutTime"], rel=1e-4)
    assert "PhaseEncodingDirection" not in sidecar(SITES[site].t1w)


def test_a_folder_is_for_one_study(tmp_path: Path) -> None:
    claim_folder(tmp_path / "a", study(), [], t1w=True)
    claim_folder(tmp_path / "a", study(), [], t1w=True)
    with pytest.raises(CannotWriteError, match="something else"):
        claim_folder(tmp_path / "a", study(seed=1), [], t1w=True)
    with pytest.raises(CannotWriteError, match="inside the dataset"):
        claim_folder(tmp_path / "a" / "b", study(), [], t1w=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").touch()
    with pytest.raises(CannotWriteError, match="something else"):
        claim_folder(tmp_path / "c", study(), [], t1w=True)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["mine.txt"]


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".partial-1-a-dataset_description.json").touch()
    claim_folder(tmp_path, study(), [], t1w=True)
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01" / "anat" / ".partial-1-b-sub-01_T1w.nii.gz").touch()
    remove_unfinished(tmp_path)
    assert not list(tmp_path.rglob(".partial-*"))


def test_one_impossible_head_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Future[None](), Future[None]()
    good.set_result(None)
    bad.set_exception(VolumesNotReached("volumes miss their factors"))
    with pytest.raises(
        PdsError, match=r"^1 of 2 visits were not simulated.*sub-02/ses-01: volumes miss.*--seed"
    ):
        simulation._await({bad: "sub-02/ses-01", good: "sub-01"})
    assert capsys.readouterr().out.startswith("sub-01 (")


def test_a_killed_worker_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(simulation, "_await", killed)
    monkeypatch.setattr(simulation, "template_anatomy", lambda: np.zeros(1, np.uint8))
    monkeypatch.setattr(simulation, "_scan", print)
    with pytest.raises(TemporaryError, match="lower --nprocs and rerun"):
        simulation.simulate(tmp_path / "bids", study(n_subjects=1), processes=1)


def test_one_label_map_is_enough_for_a_study(tmp_path: Path) -> None:
    (tmp_path / "seg.nii.gz").touch()
    assert label_maps(tmp_path, at_least=1) == [tmp_path / "seg.nii.gz"]
    with pytest.raises(UsageError, match="at least 3 needed"):
        label_maps(tmp_path)


@pytest.mark.parametrize("values", [tuple(range(256)), (0.0, 2.0, 3.5), (0.0,)])
def test_an_image_is_no_label_map(values: tuple[float, ...], tmp_path: Path) -> None:
    data = np.resize(np.array(values, np.float32), (6, 6, 6))
    nb.Nifti1Image(data, np.eye(4)).to_filename(tmp_path / "t1.nii.gz")
    with pytest.raises(ParticipantError, match="no map of FreeSurfer's labels"):
        aligned_structures(tmp_path / "t1.nii.gz", 1)


def test_an_unknown_site_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="oasis, adni, ppmi, hospital"):
        simulation.Study(1, ("lab",), ("nc",)).visits()
