"""Options of the participant level at work, from the command line to the files."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nb
import numpy as np
import pytest

from pds_bids.app import visit
from pds_bids.app.process import process
from pds_bids.bids.inventory import inventory
from pds_bids.cli.main import main
from pds_bids.core.config import Config, RunConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality

from .test_participant import digests

pytestmark = pytest.mark.slow

PdsBids = Callable[..., int]


def pds_bids(bids: Path, out: Path, *options: str) -> int:
    """Run the participant level on one thread; its exit code."""
    command = [str(bids), str(out), "participant", "-w", str(out.parent / "work"), *options]
    with pytest.raises(SystemExit) as ended:
        main(command)
    return int(ended.value.code or 0)


@contextmanager
def without_network() -> Iterator[None]:
    """Whoever asks for a connection or an address fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was to be sent")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, refuse)
        for name in ("getaddrinfo", "gethostbyname", "create_connection"):
            patch.setattr(socket, name, refuse)
        yield


@pytest.fixture(scope="module")
def drawn(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run with many options, which could reach nobody, made of sub-03."""
    out = tmp_path_factory.mktemp("drawn") / "out"
    options = ["--participant-label", "03", "--sloppy", "--omp-nthreads", "1", "--random-seed", "5"]
    options += [
        "--num-samples",
        "2",
        "--sampling-steps",
        "2",
        "--save-draws",
        "--output-spaces",
        "native",
        "--low-mem",
    ]
    with without_network():
        assert pds_bids(raw, out, *options, "--resource-monitor") == 0
    return out


def test_a_rerun_from_the_dumped_settings_is_the_same_bit_for_bit(
    drawn: Path, raw: Path, tmp_path: Path
) -> None:
    (dumped,) = (drawn / "sub-03/log").glob("*/pds-bids.toml")

    assert pds_bids(raw, tmp_path / "out", "--config-file", str(dumped)) == 0

    def images_and_sidecars(out: Path) -> dict[str, str]:
        return {k: v for k, v in digests(out).items() if k.endswith((".nii.gz", ".json"))}

    assert images_and_sidecars(tmp_path / "out") == images_and_sidecars(drawn)


def test_every_draw_is_kept_and_their_mean_is_theirs(drawn: Path) -> None:
    stem = "sub-03/func/sub-03_task-rest_desc-"
    one, two, mean = (
        np.asarray(nb.load(drawn / f"{stem}synthdraw{which}_boldref.nii.gz").dataobj)
        for which in ("1", "2", "mean")
    )
    assert not np.array_equal(one, two)
    np.testing.assert_allclose((one + two) / 2, mean, atol=1e-4)  # interpolated before and after
    sidecar = json.loads((drawn / f"{stem}synthdraw2_boldref.json").read_text())
    assert sidecar["Description"].startswith("SYNTHETIC")
    assert "Draw 2 of 2" in sidecar["Description"]


def test_the_resources_of_every_step_are_recorded(drawn: Path) -> None:
    (table,) = (drawn / "sub-03/log").glob("*/resources.tsv")
    head, *rows = (line.split("\t") for line in table.read_text().splitlines())
    assert [row[0].split()[0] for row in rows] == [
        "averaging",
        "aligning",
        "synthesising",
        "writing",
        "drawing",
    ]
    assert all(float(row[head.index("peak_mb")]) > 100 for row in rows)


def test_pages_and_methods_come_from_the_record_alone(
    drawn: Path, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(drawn, out)
    page = out / "sub-03.html"
    written = page.read_text()
    page.write_text("spoiled")
    images = digests(out / "sub-03")

    assert pds_bids(raw, out, "--reports-only") == 0

    assert page.read_text() == written
    assert digests(out / "sub-03") == images
    assert pds_bids(raw, out, "--boilerplate-only") == 0
    assert "is SYNTHETIC" in capsys.readouterr().out
    assert "References" in (out / "logs/CITATION.md").read_text()
    shutil.rmtree(out / "sub-03/figures")
    assert pds_bids(raw, out, "--reports-only") == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["reports", "boilerplate"])
def test_without_a_record_there_is_nothing_to_tell(
    raw: Path, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pds_bids(raw, tmp_path / "out", f"--{part}-only") == 66
    assert "was processed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_preproc_only_prepares_and_a_full_run_goes_on(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--participant-label", "02", "--sloppy", "--omp-nthreads", "1", "--output-spaces", "native"]

    assert pds_bids(raw, out, *options, "--preproc-only", "--strict-qc") == 0

    assert "complete" in (said := capsys.readouterr().out)
    assert "prepared mean fMRI" in said
    assert "synthesis" not in said
    stem = "sub-02_task-rest_desc-"
    assert {path.name for path in (out / "sub-02/func").glob("*.nii.gz")} == {
        f"{stem}preproc_boldref.nii.gz",
        f"{stem}brain_mask.nii.gz",
    }
    assert not (out / "sub-02/dwi").exists()
    page = (out / "sub-02.html").read_text()
    assert "Brain mask of the acquired" in page
    assert "banner synthetic" not in page
    assert pds_bids(raw, out, *options, "--preproc-only", "--strict-qc") == 0
    assert "already-complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("snr", "message"),
    [
        (4.0, "the signal is only 4.0 times the noise: expect a worse synthesis; repair it"),
        (40.0, "reached the synthesis"),
    ],
    ids=["beyond a limit", "a note alone"],
)
def test_strict_qc_refuses_what_lies_beyond_a_limit_and_no_notes(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snr: float, message: str
) -> None:
    def synthesise(*_: object) -> None:
        raise ParticipantError("the test", "reached the synthesis", "")

    prepared = SimpleNamespace(warnings=("no T1w",), facts={"snr": snr, "alignment": {"dice": 0.95}})
    monkeypatch.setattr(visit, "reduce_series", lambda series, prep: None)
    monkeypatch.setattr(visit, "prepare", lambda *_, **__: prepared)
    monkeypatch.setattr(visit, "_synthesise", synthesise)
    strict = Config(raw, tmp_path / "out", tmp_path, run=RunConfig(strict_qc=True))
    (chosen,) = [v for v in inventory(raw, strict.selection) if v.subject == "02"]

    result = process(strict, chosen, "run")

    assert result.status == "failed"
    assert message in result.message
    assert message.split(";", maxsplit=1)[0] in (tmp_path / "out/sub-02.html").read_text()


def test_an_unusual_source_is_beyond_a_limit(config: Config) -> None:
    strict = replace(config, run=RunConfig(strict_qc=True))
    record = SimpleNamespace(source=Modality.BOLD, target=Modality.DWI)
    for score, refused in (
        (1.3, pytest.raises(ParticipantError, match="unlike the scans")),
        (1.0, nullcontext()),
    ):
        made: Any = SimpleNamespace(outlier_score=score, outlier_limit=1.2, record=record)
        with refused:
            visit._require_unsuspicious(strict, Path("bold.nii.gz"), visit.unusual_source(made))


@pytest.mark.parametrize("fault", ["no description", "a name that does not fit"])
def test_no_validator_is_run_and_faults_are_told_all_the_same(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("another program was to be run")

    bids = tmp_path / "bids"
    shutil.copytree(raw, bids)
    odd = bids / "sub-02/func/sub-01_task-rest_bold.nii.gz"
    odd.touch()
    if fault == "no description":
        (bids / "dataset_description.json").unlink()
    monkeypatch.setattr(subprocess, "Popen", refuse)

    told = []
    for skipped in ([], ["--skip-bids-validation"]):
        code = pds_bids(bids, tmp_path / "out", "--dry-run", *skipped)
        told.append((code, *capsys.readouterr()))

    assert told[0] == told[1]
    code, plan, error = told[0]
    assert code == (16 if fault == "no description" else 0)
    assert ("dataset_description.json" in error) == (code == 16)
    assert (odd.name in plan) == (code == 0)
