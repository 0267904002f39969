"""What every run keeps to, on small participants and without the networks: names, sidecars, places, marks."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import pytest

from pds_bids.app import visit
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.prep.atlas import template
from pds_bids.synthesis.pipeline import Synthesiser

from .faults.battery import Ended, call, flat_brain, state
from .faults.people import add_description, add_participant, sound_head

pytestmark = pytest.mark.slow

OPTIONS = (
    "--sloppy --omp-nthreads 1 --low-mem -t nback --num-samples 2 --sampling-steps 2 --save-draws"
    " --output-spaces native model MNI152NLin2009aSym -d fmriprep=PREP --bids-database-dir BASE -w WORK"
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STANDARD = "MNI152NLin2009cAsym"


class Run(NamedTuple):
    """A run with many options over two people; where it was told to write, and where it did."""

    folder: Path
    ended: Ended
    before: dict[str, str]
    touched: set[Path]

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def sidecars(self) -> dict[Path, dict[str, Any]]:
        """Of every image."""
        images = sorted(self.out.rglob("*.nii.gz"))
        return {path: json.loads(path.with_name(f"{path.name[:-7]}.json").read_text()) for path in images}


@contextmanager
def written_paths() -> Iterator[set[Path]]:
    """Whatever Python makes, renames, removes or opens to write in the meantime."""
    touched: set[Path] = set()
    listening = True

    def hear(event: str, given: tuple[Any, ...]) -> None:
        if not listening or (event == "open" and not (isinstance(given[2], int) and given[2] & WRITING)):
            return
        named = given[
            : {"open": 1, "os.mkdir": 1, "os.remove": 1, "os.rename": 2, "os.symlink": 2}.get(event, 0)
        ]
        touched.update(Path(os.fsdecode(name)) for name in named if isinstance(name, (str, bytes, Path)))

    sys.addaudithook(hear)
    yield touched
    listening = False  # an audit hook stays for good


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """sub-01 with fMRI of two tasks, one in two runs; sub-02 with dMRI that `prep` has in MNI space alone."""
    folder = tmp_path_factory.mktemp("contract")
    bids, prep = folder / "bids", folder / "prep"
    add_description(bids)
    rest = add_participant(bids, "sub-01", Modality.BOLD)
    for number, n_volumes in ((1, 5), (2, 7)):
        path = rest.series.with_name(f"sub-01_task-nback_run-{number}_bold.nii.gz")
        nb.load(rest.series).slicer[..., :n_volumes].to_filename(path)
    add_participant(bids, "sub-02", Modality.DWI)
    reference = prep / "sub-02" / "dwi" / f"sub-02_space-{STANDARD}_trace.nii.gz"
    reference.parent.mkdir(parents=True)
    head = sound_head()[..., 0]
    nb.Nifti1Image(head, nb.load(rest.series).affine).to_filename(reference)
    before = state(bids)
    template()  # what is read once for all is not what a visit does
    places = {
        "BIDS": bids,
        "OUT": folder / "out",
        "PREP": prep,
        "BASE": folder / "base",
        "WORK": folder / "work",
    }
    with pytest.MonkeyPatch.context() as patch, written_paths() as touched:
        patch.setattr(Synthesiser, "synthesise", flat_brain)
        patch.setattr(sys, "dont_write_bytecode", True)
        ended = call(f"BIDS OUT participant {OPTIONS}", **places)
    assert ended.code == 0, ended.err
    return Run(folder, ended, before, touched)


def test_nothing_is_written_but_where_it_was_asked_for(run: Run) -> None:
    assert state(run.folder / "bids") == run.before
    places = [run.folder / name for name in ("out", "work", "base")]
    assert len([path for path in run.touched if path.is_relative_to(run.out)]) > 100
    places += [Path("/dev"), Path("/proc"), Path(os.environ["MPLCONFIGDIR"])]  # of the first run here
    named = [path for path in run.touched if path.is_absolute()]  # others are relative to an open folder
    assert [path for path in named if not any(map(path.is_relative_to, places))] == []


def test_the_work_folder_is_left_empty_and_no_name_in_it_tells_of_a_participant(run: Run) -> None:
    assert {path.name for path in (run.folder / "work").iterdir()} <= {"matplotlib"}
    work = str(run.folder / "work")
    seen = [name for name in map(str, run.touched) if name.startswith(work)]
    assert len(seen) > 10
    assert [name for name in seen if "sub-" in name.removeprefix(work)] == []


def test_every_synthetic_image_says_so(run: Run) -> None:
    synthetic = {path: sidecar for path, sidecar in run.sidecars().items() if "_desc-synth" in path.name}
    assert len(synthetic) == 2 * 3 * 6  # people, spaces, and volume, sd, mean and sd of draws, two draws
    for path, sidecar in synthetic.items():
        assert b"SYNTHETIC" in nb.load(path).header["descrip"].tobytes()
        assert sidecar["Description"].startswith("SYNTHETIC")
        assert sidecar["SyntheticData"] is True
        told = sidecar["Synthesis"]
        assert (told["num_samples"], told["steps"], told["device"]) == (2, 2, "cpu")
        assert {told["source"], told["target"]} == set(map(str, Modality))
        assert {"model", "model_version", "weights_sha256", "training_data", "seed", "t1w_context"} <= set(
            told
        )
        assert {"out_of_distribution_score", "out_of_distribution_limit"} <= set(told)
    others = set(run.sidecars()) - set(synthetic)
    assert others
    for path in others:
        assert b"SYNTHETIC" not in nb.load(path).header["descrip"].tobytes()


def test_pages_figures_and_the_table_say_so_too(run: Run) -> None:
    call("BIDS OUT group", BIDS=run.folder / "bids", OUT=run.out)
    heads, *rows = ((run.out / "group_synthesis.tsv").read_text()).splitlines()
    column = heads.split("\t").index("synthetic")
    assert [row.split("\t")[column] for row in rows] == ["trace", "boldref"]
    shown = [
        *run.out.glob("sub-*/figures/*_desc-synth*.svg"),
        *run.out.glob("sub-*/figures/*_desc-viewer*.html"),
    ]
    assert len(shown) == 2 * 3
    for path in (*shown, *run.out.glob("*.html")):
        assert "SYNTHETIC" in path.read_text(), path
    pictures = re.findall(
        r"sub-[\w/-]+_desc-thumbnail_\w+\.png", (run.out / "group_synthesis.html").read_text()
    )
    assert len(pictures) == 2
    assert all((run.out / picture).is_file() for picture in pictures)


def test_every_sidecar_names_what_its_image_was_made_from(run: Run) -> None:
    links = json.loads((run.out / "dataset_description.json").read_text())["DatasetLinks"]
    roots = {name: Path(link.removeprefix("file://")) for name, link in links.items()}
    assert roots == {"raw": run.folder / "bids", "fmriprep": run.folder / "prep"}
    for path, sidecar in run.sidecars().items():
        assert isinstance(sidecar["SkullStripped"], bool)
        assert ("Resolution" in sidecar) == ("_res-2_" in path.name)
        for uri in sidecar["Sources"]:
            scheme, name, file = uri.split(":")
            assert scheme == "bids"
            assert (roots[name] / file).is_file()
        reference = sidecar["SpatialReference"]
        if f"_space-{ATLAS_SPACE}_" in path.name:
            assert reference.startswith("https://")
        else:
            _, name, file = reference.split(":")
            assert ((roots[name] if name else run.out) / file).is_file()


def test_the_task_and_the_run_are_those_that_were_asked_for_and_recorded(run: Run) -> None:
    (source,) = run.out.glob("sub-01/func/*_task-nback_desc-preproc_boldref.json")
    told = json.loads(source.read_text())
    assert told["Sources"] == ["bids:raw:sub-01/func/sub-01_task-nback_run-2_bold.nii.gz"]
    assert "2 runs: used run-2 (most volumes: 7)" in told["Preprocessing"]["warnings"]
    assert not list(run.out.rglob("*task-rest_*desc-preproc*"))
    assert list(run.out.glob("sub-02/func/*_task-rest_desc-synth_boldref.nii.gz"))  # which has no task


def test_a_reference_in_a_standard_space_alone_is_registered_again(run: Run) -> None:
    (source,) = run.out.glob("sub-02/dwi/sub-02_desc-preproc_trace.json")
    told = json.loads(source.read_text())
    assert told["Sources"] == [f"bids:fmriprep:sub-02/dwi/sub-02_space-{STANDARD}_trace.nii.gz"]
    assert f"fmriprep has the reference in {STANDARD} alone: it was registered again" in run.ended.out
    assert "no reference image in fmriprep: the raw bold series was used" in run.ended.out
    assert list(run.out.glob(f"sub-02/dwi/*_from-trace_to-{ATLAS_SPACE}_mode-image_xfm.h5"))


def test_the_database_is_kept(run: Run) -> None:
    kept = {path.name.rpartition("_")[0] for path in (run.folder / "base").iterdir()}
    assert kept == {"sub-01_bold", "sub-02_dwi"}


@pytest.mark.parametrize(
    ("option", "written"), [("--reports-only", set()), ("--boilerplate-only", {"logs/CITATION.md"})]
)
def test_a_part_of_the_work_writes_nothing_else(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, written: set[str]
) -> None:
    monkeypatch.setattr(visit, "run_visit", lambda *_: pytest.fail("it was begun"))
    page = run.out / "sub-01.html"
    whole = page.read_bytes()
    before, work = state(run.out), state(run.folder / "work")
    if option == "--reports-only":
        page.write_text("spoilt")
    places = {"BIDS": run.folder / "bids", "OUT": run.out, "WORK": run.folder / "work"}
    assert call(f"BIDS OUT participant -w WORK {option}", **places).code == 0
    after = state(run.out)
    assert {name for name, content in after.items() if before.get(name) != content} == written
    assert page.read_bytes() == whole
    assert state(run.folder / "work") == work


def test_a_participant_alone_in_a_checkout_is_enough(tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    add_description(bids)
    (bids / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    (bids / "sub-02").symlink_to(".git/annex/nowhere")
    add_participant(bids, "sub-01", Modality.BOLD)
    told = call("BIDS OUT participant --participant-label 01 --dry-run", BIDS=bids, OUT=tmp_path / "out")
    assert told.code == 0
    assert told.out.endswith("1 of 1 to synthesise\n")
