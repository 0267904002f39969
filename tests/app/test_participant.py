"""The main job, end to end, on simulated series with real ANTs and the shipped weights."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from pds_bids.app import group, participant
from pds_bids.app.cohort import DerivativePairs
from pds_bids.bids.pairs import find_pairs
from pds_bids.core.config import Config
from pds_bids.core.errors import NoUsableParticipantError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.training.data import make_batch

from .conftest import Finished, elsewhere

pytestmark = pytest.mark.slow

SPACES = ("", f"_space-{ATLAS_SPACE}_res-2")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of everything but logs."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"log", "logs"} & set(path.parts)
    }


def images(folder: Path) -> dict[str, str]:
    """SHA-256 of the images alone."""
    return {name: digest for name, digest in digests(folder).items() if name.endswith(".nii.gz")}


def statuses(out: Path) -> dict[str, str]:
    """Latest status of each visit."""
    found = (json.loads(path.read_text()) for path in out.glob("sub-*/log/*/status.json"))
    return {s["visit"]: s["status"] for s in sorted(found, key=lambda s: s["finished"])}


def test_everybody_is_dealt_with(finished: Finished) -> None:
    assert finished.code == 0
    assert statuses(finished.config.output_dir) == {
        "sub-01": "nothing-missing",
        "sub-02": "complete",
        "sub-03": "complete",
    }


@pytest.mark.parametrize(("subject", "source"), [("02", Modality.BOLD), ("03", Modality.DWI)])
def test_outputs_are_those_of_the_documentation(finished: Finished, subject: str, source: Modality) -> None:
    folder = finished.config.output_dir / f"sub-{subject}"

    def names(modality: Modality, descs: dict[str, str]) -> set[str]:
        task = "_task-rest" if modality is Modality.BOLD else ""
        stem = f"{modality.datatype}/sub-{subject}{task}"
        return {
            f"{stem}{space}_desc-{desc}_{suffix}{end}"
            for space in SPACES
            for desc, suffix in descs.items()
            for end in (".nii.gz", ".json")
        }

    target = source.other
    transform = f"{source.datatype}/sub-{subject}{'_task-rest' if source is Modality.BOLD else ''}_from-"
    expected = (
        names(source, {"preproc": source.mean_suffix, "brain": "mask"})
        | names(target, {"synth": target.mean_suffix, "synthstd": target.mean_suffix})
        | {
            f"{transform}{source.mean_suffix}_to-{ATLAS_SPACE}_mode-image_xfm.h5",
            f"{transform}{ATLAS_SPACE}_to-{source.mean_suffix}_mode-image_xfm.h5",
        }
    )
    found = {p.relative_to(folder).as_posix() for m in Modality for p in (folder / m.datatype).iterdir()}
    assert found == expected


def test_nobody_takes_a_synthetic_volume_for_acquired(finished: Finished) -> None:
    out = finished.config.output_dir
    path = next((out / "sub-02/dwi").glob("*_desc-synth_trace.nii.gz"))
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["SyntheticData"] is True
    assert sidecar["Description"].startswith("SYNTHETIC")
    assert len(sidecar["Synthesis"]["weights_sha256"]) == 64
    assert sidecar["Synthesis"]["out_of_distribution_score"] > 0
    assert sidecar["Synthesis"]["out_of_distribution_limit"] > 0
    assert b"SYNTHETIC" in nb.load(path).header["descrip"].tobytes()
    assert "SYNTHETIC" in json.loads((out / "dataset_description.json").read_text())["Name"]
    assert "SYNTHETIC" in (out / "README.md").read_text()
    assert "SYNTHETIC" in next((out / "sub-02/figures").glob("*synth*.svg")).read_text()
    assert "SYNTHETIC" in (out / "sub-02.html").read_text()


def test_a_coarse_run_is_marked_as_a_test(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished.config.output_dir
    for path in (out / "sub-02").rglob("*.nii.gz"):
        assert nb.load(path).header["descrip"].tobytes().startswith(b"TEST ONLY (--sloppy)")
        assert "TEST ONLY (--sloppy)" in path.with_name(f"{path.name[:-7]}.json").read_text()
    assert '<div class="banner test"' in (out / "sub-02.html").read_text()
    group.run(finished.config)
    rows = (out / "group_synthesis.tsv").read_text().splitlines()
    assert ["warning: TEST ONLY" in row for row in rows[1:]] == [False, True, True]


def test_a_figure_is_named_for_what_it_shows(finished: Finished) -> None:
    figures = list((finished.config.output_dir / "sub-02/figures").iterdir())
    assert {path.stem.split("_", 1)[1] for path in figures} == {
        *(f"desc-{shown}_boldref" for shown in ("mask", "registration", "source")),
        *(f"desc-{shown}_trace" for shown in ("synth", "synthstd", "histogram", "thumbnail", "viewer")),
    }
    drawings = [path for path in figures if path.suffix == ".svg"]
    assert all(("SYNTHETIC" in path.read_text()) == path.stem.endswith("trace") for path in drawings)


def test_what_was_not_asked_for_is_not_called_complete(config: Config, tmp_path: Path) -> None:
    wanted = elsewhere(config, tmp_path, "03")
    wanted = replace(wanted, selection=replace(wanted.selection, targets=(Modality.DWI,)))
    assert participant.run(wanted) == 0
    assert statuses(wanted.output_dir) == {"sub-03": "not-asked-for"}


def test_the_native_output_lies_on_the_grid_of_the_source(finished: Finished) -> None:
    source = nb.load(finished.config.bids_dir / "sub-02/func/sub-02_task-rest_bold.nii.gz")
    made = nb.load(finished.config.output_dir / "sub-02/dwi/sub-02_desc-synth_trace.nii.gz")
    assert made.shape == source.shape[:3]
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-4)
    brain = made.get_fdata()[made.get_fdata() > 0]
    assert 0.8 < np.median(brain) < 1.2  # relative units
    assert brain.std() > 0.05


def test_a_rerun_repeats_nothing_complete(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished.config.output_dir
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.nii.gz")}
    assert participant.run(finished.config) == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.nii.gz")} == before
    assert "2 already-complete" in capsys.readouterr().out


def test_the_validator_finds_no_fault(finished: Finished) -> None:
    group.run(finished.config)
    command = [
        str(Path(sys.executable).with_name("bids-validator-deno")),
        str(finished.config.output_dir),
        "--format",
        "json",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(run.stdout)["issues"]["issues"]
    assert [(i["severity"], i["code"], i.get("location")) for i in issues] == []


def test_the_group_level_reads_outputs_only(finished: Finished, tmp_path: Path) -> None:
    moved = replace(finished.config, bids_dir=tmp_path / "gone")
    assert group.run(moved) == 0
    table = (finished.config.output_dir / "group_synthesis.tsv").read_text().splitlines()
    assert [line.split("\t")[:4] for line in table[1:]] == [
        ["sub-01", "n/a", "nothing-missing", "n/a"],
        ["sub-02", "n/a", "complete", "trace"],
        ["sub-03", "n/a", "complete", "boldref"],
    ]


def test_one_thread_repeats_itself_and_other_settings_replace_the_outputs(
    finished: Finished, tmp_path: Path
) -> None:
    config = elsewhere(finished.config, tmp_path, "03")
    assert participant.run(config) == 0
    first = {k: v for k, v in images(finished.config.output_dir).items() if k.startswith("sub-03")}
    assert images(config.output_dir) == first

    other = replace(config, output=replace(config.output, spaces=("model",)))
    assert participant.run(other) == 0
    made = images(config.output_dir)
    assert made  # of the other settings alone: nothing stale beside them
    assert all("_space-model_" in name for name in made)


def test_two_threads_stay_within_the_stated_tolerance(finished: Finished, tmp_path: Path) -> None:
    config = elsewhere(finished.config, tmp_path, "02")
    assert participant.run(replace(config, prep=replace(config.prep, threads=2))) == 0
    name = "sub-02/dwi/sub-02_desc-synth_trace.nii.gz"
    one, two = (np.asarray(nb.load(c.output_dir / name).dataobj) for c in (finished.config, config))
    both = (one > 0) & (two > 0)
    assert 2 * both.sum() / ((one > 0).sum() + (two > 0).sum()) > 0.95
    assert np.abs(one - two)[both].mean() < 0.05 * np.median(one[both])


def test_a_broken_subject_does_not_stop_the_others(
    finished: Finished, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bids = tmp_path / "bids"
    shutil.copytree(raw, bids)
    series = bids / "sub-02/func/sub-02_task-rest_bold.nii.gz"
    series.write_bytes(series.read_bytes()[:200_000])
    before = digests(bids)
    config = replace(elsewhere(finished.config, tmp_path), bids_dir=bids)
    assert participant.run(config) == 1
    assert digests(bids) == before
    assert statuses(config.output_dir)["sub-03"] == "complete"
    line = next(x for x in capsys.readouterr().err.splitlines() if "sub-02: failed" in x)
    assert series.name in line
    assert "Traceback" not in line
    page = (config.output_dir / "sub-02.html").read_text()
    assert series.name in page
    assert "SYNTHETIC" not in page


def test_nobody_usable(config: Config, raw: Path, tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    (bids / "sub-09/anat").mkdir(parents=True)
    shutil.copy(raw / "dataset_description.json", bids)
    with pytest.raises(NoUsableParticipantError):
        participant.run(replace(elsewhere(config, tmp_path), bids_dir=bids))


def test_evaluate_scores_against_the_acquired_volume(config: Config, tmp_path: Path) -> None:
    wanted = elsewhere(config, tmp_path, "01")
    wanted = replace(wanted, selection=replace(wanted.selection, evaluate=True))
    wanted = replace(wanted, output=replace(wanted.output, spaces=("model",)))
    assert participant.run(wanted) == 0
    rows = json.loads((wanted.output_dir / "sub-01/log/scores.json").read_text())["scores"]
    methods = ("pds", "population template", "registered source")
    assert [(r["target"], r["method"]) for r in rows] == [(m.value, x) for m in Modality for x in methods]
    assert all(10 < r["psnr_db"] < 60 and 0 < r["ssim"] <= 1 for r in rows)
    assert [r["coverage_80"] is not None and 0 < r["coverage_80"] < 1 for r in rows] == [
        True,
        False,
        False,
    ] * 2
    page = (wanted.output_dir / "sub-01.html").read_text()
    assert "PSNR (dB)" in page
    assert page.count("Acquired and synthesised mean") >= len(Modality)
    assert "psnr_db" not in page
    pairs_are_read_back(wanted.output_dir, rows)

    assert participant.run(elsewhere(config, tmp_path, "01")) == 0  # nothing is missing, and nothing removed
    group.run(wanted)
    assert "\tcomplete\tboldref,trace\t" in (wanted.output_dir / "group_synthesis.tsv").read_text()


def pairs_are_read_back(out: Path, scores: list[dict[str, float]]) -> None:
    """What training would see is what was scored."""
    (visit,) = find_pairs(out)
    sample = DerivativePairs((visit,), {}).get([0])
    n_voxels = {row["target"]: row["n_voxels"] for row in scores}
    for k, target in enumerate(Modality):
        batch = make_batch(sample, [k], None)
        assert int(batch.known.sum()) == n_voxels[target]
        brain = batch.mask[0, 0] > 0
        assert float(batch.images[0, k][batch.known[0, 0] > 0].median()) == pytest.approx(0, abs=0.01)
        for image in (batch.images[0, 1 - k], *batch.t1w[0][batch.has_t1w]):
            assert float(image[brain].median()) == pytest.approx(0, abs=0.01)
        sidecar = json.loads(next(out.glob(f"*/{target.datatype}/*_desc-synth_*.json")).read_text())
        assert sidecar["Synthesis"]["t1w_context"] is bool(batch.has_t1w)
    assert all(str(path).endswith("T1w.nii.gz") for path in (out / "sub-01/anat").glob("*.nii.gz"))
