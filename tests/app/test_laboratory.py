"""`pds-model`: label maps to a checkpoint, and the checkpoint to a table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from pds_bids.app import evaluation, modelcard, training
from pds_bids.app.anatomies import aligned_structures, label_maps, template_anatomy
from pds_bids.app.methods import MAIN, MAIN_ROWS
from pds_bids.app.panel import Origin
from pds_bids.app.trainingorder import Order
from pds_bids.core.errors import UsageError
from pds_bids.simulation.anatomy import FINE_ORIGIN_MM, FREESURFER_LABELS, Structure, structure_codes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three label maps in FreeSurfer's numbers, each in a pose of its own."""
    folder = tmp_path_factory.mktemp("maps")
    numbers = np.zeros(len(Structure), np.int16)
    for structure, labels in FREESURFER_LABELS.items():
        numbers[structure] = labels[0]
    labels = numbers[template_anatomy()][::2, ::2, ::2]
    for k in range(3):
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = np.add(FINE_ORIGIN_MM, (4 * k, -3 * k, 6 * k))
        nb.Nifti1Image(labels, affine).to_filename(folder / f"seg_{k}.nii.gz")
    return folder


def test_an_anatomy_arrives_in_model_space_wherever_it_was(maps: Path) -> None:
    expected = template_anatomy()
    moved = aligned_structures(label_maps(maps)[2], threads=1)
    white = np.isin(moved, (Structure.WHITE, Structure.CALLOSUM))
    truth = np.isin(expected, (Structure.WHITE, Structure.CALLOSUM))
    assert 2 * (white & truth).sum() / (white.sum() + truth.sum()) > 0.85


def test_real_label_maps_hold_every_structure(shared_data: Path) -> None:
    path = label_maps(shared_data / "label_maps")[0]
    found = set(np.unique(structure_codes(np.asarray(nb.load(path).dataobj).astype(int))))
    assert found >= set(Structure) - {Structure.CALLOSUM, Structure.LESION}


def test_train_then_evaluate(maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, table, preset = (tmp_path / name for name in ("tiny.safetensors", "table.tsv", "mine.toml"))
    bundled = Path(training.__file__).parents[1] / "presets" / "tiny.toml"
    preset.write_text(bundled.read_text() + "on_the_fly = true\npeople = false\n")
    order = Order(str(preset), maps, checkpoint, 0.2, "cpu")
    assert training.run(order) == 0
    assert capsys.readouterr().out.endswith(f"{checkpoint} is complete\n")
    assert training.run(order) == 0
    assert "is complete; --restart" in capsys.readouterr().out
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"tiny.safetensors", "tiny.split.json", "tiny.state.safetensors", "mine.toml"}
    assert '"test": [\n    "seg_2.nii.gz"' in checkpoint.with_suffix(".split.json").read_text()
    assert "- test: seg_2.nii.gz\n" in modelcard.text(str(checkpoint))

    plan = evaluation.Plan(str(checkpoint), (f"rival:estimate={checkpoint}",), n_subjects=1, n_fit=1)
    assert evaluation.run(plan, Origin(maps), table, "cpu", tmp_path / "work") == 0
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    methods = ["flat brain", "population template", "copied source, matched", "voxelwise linear", "rival"]
    methods += list(MAIN_ROWS)
    assert [row[:2] for row in rows[1:]] == [[target, m] for target in ("bold", "dwi") for m in methods]
    about = json.loads(table.with_suffix(".json").read_text())
    assert [[row["target"], row["method"]] for row in about["rows"]] == [row[:2] for row in rows[1:]]
    assert (about["test_maps"], about["seed"]) == (["seg_2.nii.gz"], 0)
    assert list(about["weights_sha256"]) == [str(checkpoint)]
    numbers = {row["method"]: row for row in about["rows"] if row["target"] == "dwi"}
    assert numbers["rival"]["psnr_db"] == numbers["PDM, 1 step"]["psnr_db"]
    assert numbers[MAIN]["main_gain_psnr_db"] == [0, 0, 0]
    capsys.readouterr()


def test_a_model_is_never_scored_on_maps_it_was_trained_on(maps: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    for path in label_maps(maps):
        (others / f"other_{path.name}").symlink_to(path)
    with pytest.raises(UsageError, match="none of the model's test maps"):
        evaluation.run(evaluation.Plan(), Origin(others), tmp_path / "table.tsv", "cpu")


def test_an_unknown_preset_names_those_there_are(maps: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base, concat, paper, regression, tiny"):
        training.run(Order("huge", maps, tmp_path / "x.safetensors"))


def test_a_training_under_torchrun_stops_in_time_and_goes_on(maps: Path, tmp_path: Path) -> None:
    preset, out = tmp_path / "mine.toml", tmp_path / "m.safetensors"
    table = (Path(training.__file__).parents[1] / "presets" / "tiny.toml").read_text()
    table = table.replace("share = 0.6", "steps = 4").replace("share = 0.4", "steps = 2")
    preset.write_text(re.sub(r"batch_size = \d", "batch_size = 2", table))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = ["pds_bids.cli.model", "train", str(preset), "--label-maps", str(maps), "--out", str(out)]

    def train(*options: str) -> str:
        ended = subprocess.run([*launcher, *command, *options], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    first, second = train("--max-minutes", "0.0001"), train()

    assert first.count("the time is up; the same command goes on") == 1
    assert second.count(f"wrote {out}") == 1  # by one process
    assert not out.with_suffix(".pairs").exists()
    assert modelcard.text(str(out))
