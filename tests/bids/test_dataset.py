"""The output is a valid BIDS derivative dataset: judged by the official validator."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bidsschematools.schema import load_schema

from pds_bids.bids.completion import mark_complete
from pds_bids.bids.dataset import require_own_folder, write_dataset_files
from pds_bids.bids.derivatives import (
    REFERENCE_DESC,
    context_desc,
    derivative_path,
    mask_sidecar,
    synthetic_sidecar,
    volume_sidecar,
)
from pds_bids.bids.description import DESCRIPTIONS
from pds_bids.bids.naming import BidsName
from pds_bids.bids.writing import PARTIAL_MARK, write_json, write_text, write_volume
from pds_bids.core.errors import CannotWriteError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE, MODEL_SPACE, Volume

RAW = {"dataset_description.json": {"Name": 'A "raw" dataset: #1', "BIDSVersion": "1.8.0", "License": "CC0"}}
SYNTHETIC = ("synth", "synthstd", "synthdrawmean", "synthdrawstd", "synthdraw1")
SPACES: dict[str, dict[str, str]] = {
    "native": {},
    ATLAS_SPACE: {"space": ATLAS_SPACE, "res": "2"},
    MODEL_SPACE: {"space": MODEL_SPACE, "res": "2"},
}


def write_image(
    out: Path, subject: str, session: str | None, datatype: str, space: str, desc: str, suffix: str
) -> None:
    sidecar = volume_sidecar(
        description=DESCRIPTIONS[desc],
        sources=[f"bids:raw:sub-{subject}/dwi/sub-{subject}_dwi.nii.gz"],
        space=space,
        reference=f"bids:raw:sub-{subject}/dwi/sub-{subject}_dwi.nii.gz",
        skull_stripped=True,
        resolution="2 mm isotropic" if "res" in SPACES[space] else None,
    )
    if suffix == "mask":
        sidecar = mask_sidecar(sidecar)
    if desc.startswith("synth"):
        sidecar = synthetic_sidecar(sidecar, {"Model": "base"})
    names = {"suffix": suffix, "desc": desc, **SPACES[space]}
    volume = Volume(np.ones((3, 3, 3), np.float32), np.eye(4), space)
    write_volume(
        derivative_path(out, subject, session, datatype, extension=".nii.gz", **names),
        volume,
        description="x",
    )
    write_json(derivative_path(out, subject, session, datatype, extension=".json", **names), sidecar)


def write_visit(out: Path, subject: str, session: str | None, source: Modality) -> None:
    target = source.other
    for space in SPACES:
        for desc, suffix in (("preproc", source.mean_suffix), ("brain", "mask")):
            write_image(out, subject, session, source.datatype, space, desc, suffix)
        for desc in SYNTHETIC:
            write_image(out, subject, session, target.datatype, space, desc, target.mean_suffix)
    for suffix in (target.mean_suffix, "mask"):
        write_image(out, subject, session, target.datatype, MODEL_SPACE, REFERENCE_DESC, suffix)
    write_image(out, subject, session, "anat", MODEL_SPACE, context_desc(source), "T1w")
    ends = (source.mean_suffix, ATLAS_SPACE)
    for start, end in (ends, ends[::-1]):
        names = {"from": start, "to": end, "mode": "image"}
        path = derivative_path(out, subject, session, source.datatype, suffix="xfm", extension=".h5", **names)
        write_text(path, "transform")
    folder = path.parents[1]
    write_text(folder / "figures" / f"sub-{subject}_desc-synth_trace.svg", "<svg/>")
    write_json(folder / "log" / "20260101-120000_0123abcd" / "status.json", {"status": "done"})
    write_text(folder / "log" / "20260101-120000_0123abcd" / "pds-bids.toml", "")
    write_text(folder / "func" / f"{PARTIAL_MARK}1-2-x_bold.nii.gz", "what a killed run leaves")
    write_text(out / f"sub-{subject}.html", "<html></html>")
    mark_complete(out, subject, session, "0", "run", [path])


@pytest.fixture
def out(build_tree, tmp_path: Path) -> Path:
    folder = tmp_path / "derivatives"
    write_dataset_files(folder, build_tree(RAW), "1.0")
    write_visit(folder, "01", None, Modality.DWI)
    write_visit(folder, "02", "a", Modality.BOLD)
    write_visit(folder, "02", "b", Modality.DWI)
    for extension, text in ((".tsv", "subject\nsub-01\n"), (".json", "{}"), (".html", "<html></html>")):
        write_text(folder / f"group_synthesis{extension}", text)
    write_text(folder / "logs" / "CITATION.md", "text")
    return folder


def validate(folder: Path) -> list[dict[str, str]]:
    validator = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"
    run = subprocess.run([validator, folder, "--format", "json"], capture_output=True, text=True, check=False)
    issues: list[dict[str, str]] = json.loads(run.stdout)["issues"]["issues"]
    assert (run.returncode != 0) == any(issue["severity"] == "error" for issue in issues)
    return issues


def test_the_validator_has_nothing_to_say(out: Path) -> None:
    assert validate(out) == []


def test_the_validator_would_have_said_something(out: Path) -> None:
    wrong = derivative_path(out, "01", None, "dwi", suffix="trase", extension=".nii.gz", desc="synth")
    write_text(wrong, "x")
    next(out.glob("sub-01/dwi/*_desc-preproc_trace.json")).unlink()
    codes = {issue["code"] for issue in validate(out)}
    assert "NOT_INCLUDED" in codes or "INVALID_LOCATION" in codes
    assert any(code.startswith("SIDECAR_KEY") for code in codes)


def test_the_names_hidden_from_the_validator_follow_the_schema_too(out: Path) -> None:
    schema = load_schema()
    order = list(schema.rules.entities)
    keys = {schema.objects.entities[name].name: name for name in order}
    rule = schema.rules.files.deriv.imaging.func_volumetric.entities  # of sbref: BIDS has no boldref yet
    required = {name for name, level in rule.items() if level == "required"}
    hidden = list(out.rglob("*_boldref.*"))
    assert len(hidden) == 6 + 2 * (30 + 2)  # one source; twice five synthetic volumes and a reference
    for path in hidden:
        name = BidsName.parse(path.name)
        assert name is not None
        entities = [keys[key] for key in name.entities]
        assert entities == sorted(entities, key=order.index)
        assert required <= set(entities) <= set(rule)


def test_synthetic_is_said_in_name_and_readme(out: Path) -> None:
    description = json.loads((out / "dataset_description.json").read_text())
    assert "SYNTHETIC" in description["Name"]
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"] == [{"Name": "pds-bids", "Version": "1.0"}]
    assert description["License"] == "CC0"
    readme = (out / "README.md").read_text()
    assert "synthetic" in readme.splitlines()[0].lower()
    assert "no connectivity, no tractography" in readme
    assert 'A "raw" dataset: #1' in readme


def test_every_desc_label_is_described(out: Path) -> None:
    head, *rows = (out / "descriptions.tsv").read_text().splitlines()
    assert head == "desc_id\tdescription"
    described = {row.split("\t")[0] for row in rows}
    used = {
        f"desc-{name.entities['desc']}"
        for path in out.rglob("*_desc-*")
        if (name := BidsName.parse(path.name))
    }
    assert used == described


def test_links_are_relative_inside_the_input_and_absolute_outside(build_tree, tmp_path: Path) -> None:
    raw = build_tree(RAW)
    links = {}
    for out in (raw / "derivatives" / "pds-bids", tmp_path / "elsewhere"):
        write_dataset_files(out, raw, "1.0")
        links[out.name] = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]["raw"]
    assert links == {"pds-bids": "../..", "elsewhere": raw.as_uri()}


def test_every_dataset_that_served_is_linked_and_the_raw_one_named(build_tree, tmp_path: Path) -> None:
    raw, out = build_tree(RAW), tmp_path / "out"
    for name in ("fmriprep", "qsiprep"):  # one run each
        write_dataset_files(out, raw, "1.0", {name: tmp_path / name})
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetLinks"] == {
        "raw": raw.as_uri(),
        **{name: (tmp_path / name).as_uri() for name in ("fmriprep", "qsiprep")},
    }
    assert description["SourceDatasets"] == [{"URL": raw.as_uri()}]


def test_the_validator_is_told_to_pass_over_what_it_does_not_know(build_tree, tmp_path: Path) -> None:
    write_dataset_files(tmp_path / "out", build_tree(RAW), "1.0")
    hidden = (tmp_path / "out" / ".bidsignore").read_text().split()
    promised = {"*.html", "logs/", "log", "figures", "*_xfm.*", "*_boldref.*", "group_*"}
    assert set(hidden) - promised == {"CITATION.cff"}
    assert promised <= set(hidden)


@pytest.mark.parametrize(
    ("variable", "container"),
    [
        ("PDS_BIDS_DOCKER_TAG", {"Type": "docker", "Tag": "1.0"}),
        ("PDS_BIDS_SINGULARITY_URL", {"Type": "singularity", "URI": "1.0"}),
    ],
)
def test_a_container_names_itself(
    build_tree, tmp_path: Path, monkeypatch, variable: str, container: dict[str, str]
) -> None:
    monkeypatch.setenv(variable, "1.0")
    write_dataset_files(tmp_path / "out", build_tree(RAW), "1.0")
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Container"] == container


def test_those_who_acquired_the_data_are_authors(build_tree, tmp_path: Path) -> None:
    described = {
        **RAW["dataset_description.json"],
        "Authors": ["Ada: #1", "Emmy"],
        "DatasetDOI": "doi:10.1/x",
    }
    write_dataset_files(tmp_path / "out", build_tree({"dataset_description.json": described}), "1.0")
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert description["Authors"] == ["Ada: #1", "Emmy", "The pds-bids developers"]
    assert description["SourceDatasets"] == [{"DOI": "doi:10.1/x"}]
    assert '  - name: "Ada: #1"' in (tmp_path / "out" / "CITATION.cff").read_text().splitlines()


def test_several_processes_and_reruns_write_the_same(build_tree, tmp_path: Path) -> None:
    raw, out = build_tree(RAW), tmp_path / "out"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write_dataset_files(out, raw, "1.0"), range(4)))
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert not any(path.name.startswith(PARTIAL_MARK) for path in before)
    write_dataset_files(out, raw, "1.0")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize(
    "existing", ['{"GeneratedBy": [{"Name": "fMRIPrep"}]}', '{"Name": "raw"}', "{", "[]"]
)
def test_the_dataset_of_another_program_is_left_alone(build_tree, tmp_path: Path, existing: str) -> None:
    write_text(tmp_path / "out" / "dataset_description.json", existing)
    with pytest.raises(CannotWriteError, match="choose another output folder"):
        write_dataset_files(tmp_path / "out", build_tree(RAW), "1.0")
    assert (tmp_path / "out" / "dataset_description.json").read_text() == existing


RENAMED = {"Name": "Renamed", "BIDSVersion": "1.8.0"}
DOI = {"DatasetDOI": "doi:10.1/x"}


def described(folder: Path, description: dict[str, str]) -> Path:
    write_json(folder / "dataset_description.json", description)
    return folder


def test_an_output_folder_belongs_to_one_dataset(tmp_path: Path) -> None:
    one, other = (described(tmp_path / name, {**RENAMED, "Name": name}) for name in ("one", "other"))
    write_dataset_files(tmp_path / "out", one, "1.0")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(CannotWriteError, match="choose another output folder") as caught:
        write_dataset_files(tmp_path / "out", other, "1.0")
    for dataset in (one, other):
        assert f'"{dataset.name}" ({dataset.as_uri()})' in str(caught.value)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_is_judged_without_writing(tmp_path: Path) -> None:
    one, other = (described(tmp_path / name, {**RENAMED, "Name": name}) for name in ("one", "other"))
    require_own_folder(tmp_path / "out", one)
    assert not (tmp_path / "out").exists()
    write_dataset_files(tmp_path / "out", one, "1.0")
    require_own_folder(tmp_path / "out", one)
    with pytest.raises(CannotWriteError, match="choose another output folder"):
        require_own_folder(tmp_path / "out", other)


def test_two_datasets_mounted_at_one_place_are_told_apart(tmp_path: Path) -> None:
    mount = tmp_path / "data"
    write_dataset_files(tmp_path / "out", described(mount, {**RENAMED, "Name": "one"}), "1.0")
    with pytest.raises(CannotWriteError, match=r'"one" .* not from "other"'):
        write_dataset_files(tmp_path / "out", described(mount, {**RENAMED, "Name": "other"}), "1.0")


def test_a_dataset_may_move_or_be_mounted_elsewhere(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for place in ("data", "mnt"):
        write_dataset_files(out, described(tmp_path / place, RENAMED), "1.0")
    links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
    assert links == {"raw": (tmp_path / "mnt").as_uri()}


@pytest.mark.parametrize(("more", "out"), [(DOI, "out"), ({}, "raw/derivatives/pds-bids")])
def test_a_dataset_may_change_its_name(tmp_path: Path, more: dict[str, str], out: str) -> None:
    for name in ("Before", "After"):
        raw = described(tmp_path / "raw", {**RENAMED, **more, "Name": name})
        write_dataset_files(tmp_path / out, raw, "1.0")
    description = json.loads((tmp_path / out / "dataset_description.json").read_text())
    assert description["Name"].endswith("of After")


@pytest.mark.parametrize(
    "name",
    ["README.md", "CITATION.cff", ".bidsignore", "descriptions.tsv", "descriptions.json", "sub-01/x.nii"],
)
def test_files_of_the_users_own_are_left_alone(build_tree, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    write_text(out / name, "mine")
    with pytest.raises(CannotWriteError, match=rf"{name.partition('/')[0]}: .* choose another output folder"):
        write_dataset_files(out, build_tree(RAW), "1.0")
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == "mine"


def test_a_start_that_was_killed_half_way_is_finished(build_tree, tmp_path: Path) -> None:
    raw, out = build_tree(RAW), tmp_path / "out"
    write_dataset_files(out, raw, "1.0")
    whole = {path.name: path.read_text() for path in out.iterdir()}
    (out / "README.md").unlink()
    write_text(out / "CITATION.cff", "of an earlier version")
    write_dataset_files(out, raw, "1.0")
    assert {path.name: path.read_text() for path in out.iterdir()} == whole


def test_files_that_are_not_in_the_way_do_no_harm(build_tree, tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "notes.txt", "mine")
    write_dataset_files(tmp_path / "out", build_tree(RAW), "1.0")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("links", [None, [], "raw"])
def test_a_tampered_link_of_another_dataset_is_an_error_line(build_tree, tmp_path: Path, links) -> None:
    raw, folder = build_tree(RAW), tmp_path / "derivatives"
    write_dataset_files(folder, raw, "1.0")
    path = folder / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"DatasetLinks": links, "Name": "another"}))
    with pytest.raises(CannotWriteError, match="holds what was made from the dataset"):
        write_dataset_files(folder, raw, "1.0")


def recipe() -> str:
    """The code of `docs/outputs.rst`, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "outputs.rst").read_text(encoding="utf-8")
    (block,) = re.findall(r":name: pybids-recipe\n\n((?:\n|   .*\n)+)", page)
    return textwrap.dedent(block)


def test_the_recipe_finds_synthetic_volumes_and_keeps_them_out(out: Path, tmp_path: Path) -> None:
    raw = tmp_path / "dataset"
    write_text(raw / "sub-01" / "dwi" / "sub-01_trace.nii.gz", "as some scanners write it")
    found: dict[str, Any] = {"BIDS_DIR": raw, "OUTPUT_DIR": out}

    exec(recipe(), found)

    descs = {
        name: {(file.entities["subject"], file.entities.get("desc")) for file in found[name]}
        for name in ("synthetic", "estimates", "acquired")
    }
    assert descs["synthetic"] == {(subject, desc) for subject in ("01", "02") for desc in SYNTHETIC}
    assert descs["estimates"] == {("01", "synth"), ("02", "synth")}
    assert len(found["estimates"]) == 3
    assert descs["acquired"] == {("01", None)} | {
        (s, d) for s in ("01", "02") for d in ("preproc", REFERENCE_DESC)
    }
    assert not set(found["synthetic"]) & set(found["acquired"])
