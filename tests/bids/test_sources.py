"""Which series becomes the source, and why."""

from __future__ import annotations

import contextlib
import gc
import gzip
import weakref
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pds_bids.bids.inventory import Visit, inventory
from pds_bids.bids.layout import subject_layout
from pds_bids.bids.sources import Series, select_series, select_t1w
from pds_bids.core.config import Selection
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality

BOLD, DWI = Modality.BOLD, Modality.DWI


def visit_of(root: Path, session: str | None = None) -> Visit:
    return next(visit for visit in inventory(root, Selection()) if visit.session == session)


def select(root: Path, modality: Modality, *, session: str | None = None, task: str | None = None) -> Series:
    return select_series(root, visit_of(root, session), modality, task)


def bold(**runs: int | bytes | None) -> dict[str, object]:
    """`bold(task_rest_run_1=5)` -> `sub-01/func/sub-01_task-rest_run-1_bold.nii.gz` of 5 volumes."""
    tree: dict[str, object] = {}
    for words, content in runs.items():
        parts = words.split("_")
        entities = "_".join(f"{key}-{label}" for key, label in zip(parts[::2], parts[1::2], strict=True))
        tree[f"sub-01/func/sub-01_{entities}_bold.nii.gz"] = content
    return tree


GRADIENTS = {"dwi.bval": "0 1000 1000", "dwi.bvec": "0 1 0\n0 0 1\n0 0 0"}


def test_metadata_is_inherited_from_the_root_and_overridden_nearby(build_tree) -> None:
    root = build_tree(
        {
            **bold(task_rest=5),
            "task-rest_bold.json": {"RepetitionTime": 2.0, "EchoTime": 0.03, "TaskName": "rest"},
            "sub-01/sub-01_task-rest_bold.json": {"EchoTime": 0.04},
            "sub-01/func/sub-01_task-rest_bold.json": {"RepetitionTime": 2.5, "SliceTiming": [0.0, 1.25]},
        }
    )
    series = select(root, BOLD)
    assert series.metadata["RepetitionTime"] == 2.5
    assert series.metadata["EchoTime"] == 0.04
    assert series.metadata["TaskName"] == "rest"
    assert series.metadata["SliceTiming"] == [0.0, 1.25]
    assert series.entities == {"sub": "01", "task": "rest"}
    assert (series.n_volumes, series.bval, series.bvec) == (5, None, None)


def test_the_index_of_a_subject_is_let_go(build_tree) -> None:
    root = build_tree({**bold(task_rest=5), "task-rest_bold.json": {"RepetitionTime": 2.0}})
    with subject_layout(root, "01", BOLD) as layout:
        assert layout.get_metadata(str(root / "sub-01/func/sub-01_task-rest_bold.nii.gz"))
        database = weakref.ref(layout.connection_manager.engine)
    gc.collect()
    assert database() is None  # though PyBIDS caches by layout


def test_session_level_inheritance_stays_in_its_session(build_tree) -> None:
    tree: dict[str, object] = dict(GRADIENTS)
    for session, time in (("1", 2.0), ("2", 3.0)):
        stem = f"sub-01/ses-{session}/sub-01_ses-{session}"
        tree[f"{stem}_task-rest_bold.json"] = {"RepetitionTime": time}
        tree[f"sub-01/ses-{session}/func/sub-01_ses-{session}_task-rest_bold.nii.gz"] = 4
    tree["sub-01/ses-2/dwi/sub-01_ses-2_dwi.nii.gz"] = 3
    tree["sub-01/ses-2/sub-01_ses-2_dwi.bval"] = "0 700 700"
    root = build_tree(tree)
    assert select(root, BOLD, session="1").metadata["RepetitionTime"] == 2.0
    assert select(root, BOLD, session="2").metadata["RepetitionTime"] == 3.0
    dwi = select(root, DWI, session="2")
    assert dwi.bval == root / "sub-01/ses-2/sub-01_ses-2_dwi.bval"
    assert dwi.bvec == root / "dwi.bvec"
    assert dwi.files == (dwi.path, dwi.bval, dwi.bvec)


def test_the_input_is_left_untouched(build_tree) -> None:
    root = build_tree({**bold(task_rest=5), "task-rest_bold.json": {}})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    select(root, BOLD)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_rest_is_preferred(build_tree) -> None:
    root = build_tree(bold(task_nback=9, task_rest=5))
    assert select(root, BOLD).entities["task"] == "rest"
    assert select(root, BOLD, task="nback").entities["task"] == "nback"


def test_the_only_task_is_taken(build_tree) -> None:
    assert select(build_tree(bold(task_nback=9)), BOLD).entities["task"] == "nback"


def test_several_tasks_without_rest_are_listed(build_tree) -> None:
    root = build_tree(bold(task_nback=9, task_faces=5))
    with pytest.raises(ParticipantError, match="faces, nback; choose one with --task-id"):
        select(root, BOLD)
    with pytest.raises(ParticipantError, match="has no task rest; choose --task-id from faces, nback"):
        select(root, BOLD, task="rest")


def test_a_task_that_only_others_have_is_an_error_of_this_participant(build_tree) -> None:
    root = build_tree({**bold(task_nback=9), "sub-02/func/sub-02_task-rest_bold.nii.gz": 5})
    visit = inventory(root, Selection(task="rest"))[0]
    assert visit.acquired == {BOLD}
    with pytest.raises(ParticipantError, match="has no task rest; choose --task-id from nback"):
        select_series(root, visit, BOLD, "rest")


def test_a_longer_series_of_another_subject_is_never_taken(build_tree) -> None:
    root = build_tree({**bold(task_rest=5), "sub-01/func/sub-02_task-rest_bold.nii.gz": 50})
    assert select(root, BOLD).path.name == "sub-01_task-rest_bold.nii.gz"


def test_of_several_runs_the_longest_then_the_first(build_tree) -> None:
    root = build_tree(bold(task_rest_run_1=5, task_rest_run_2=9, task_rest_run_10=9))
    series = select(root, BOLD)
    assert series.entities["run"] == "2"
    assert series.notes == ("3 runs: used run-2 (the first with 9 volumes)", "no T1w")


def test_7t_trt_like_acquisitions_of_one_run_each(build_tree) -> None:
    root = build_tree(bold(task_rest_acq_fullbrain_run_1=5, task_rest_acq_prefrontal=8))
    note = "2 series that differ in acq, run: used acq-prefrontal (most volumes: 8)"
    assert note in select(root, BOLD).notes


def test_the_first_echo_is_used_and_said(build_tree) -> None:
    root = build_tree(bold(task_rest_echo_10=5, task_rest_echo_2=5, task_rest_echo_3=5))
    series = select(root, BOLD)
    assert series.entities["echo"] == "2"
    assert series.notes == ("multi-echo: used echo-2", "no T1w")


def test_the_longest_run_of_a_multi_echo_series(build_tree) -> None:
    root = build_tree(
        bold(
            task_rest_run_1_echo_1=5,
            task_rest_run_1_echo_2=5,
            task_rest_run_2_echo_1=7,
            task_rest_run_2_echo_2=7,
        )
    )
    series = select(root, BOLD)
    assert (series.entities["run"], series.entities["echo"]) == ("2", "1")
    assert series.notes[:2] == ("multi-echo: used echo-1", "2 runs: used run-2 (most volumes: 7)")


def test_sbref_and_phase_are_never_sources(build_tree) -> None:
    root = build_tree(
        {
            **bold(task_rest_part_mag=5, task_rest_part_phase=50),
            "sub-01/func/sub-01_task-rest_sbref.nii.gz": 99,
        }
    )
    assert select(root, BOLD).entities["part"] == "mag"


def test_of_opposed_phase_encodings_the_longer_with_its_own_gradients(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz": 2,
            "sub-01/dwi/sub-01_dir-AP_dwi.bval": "0 0",
            "sub-01/dwi/sub-01_dir-AP_dwi.bvec": "",
            "sub-01/dwi/sub-01_dir-PA_dwi.nii.gz": 6,
            "sub-01/dwi/sub-01_dir-PA_dwi.bval": "0",
            "sub-01/dwi/sub-01_dir-PA_dwi.bvec": "",
        }
    )
    series = select(root, DWI)
    assert series.entities["dir"] == "PA"
    assert series.bval == root / "sub-01/dwi/sub-01_dir-PA_dwi.bval"
    assert series.bvec == root / "sub-01/dwi/sub-01_dir-PA_dwi.bvec"


def test_gradients_of_another_direction_do_not_apply(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/dwi/sub-01_dwi.nii.gz": 6,
            "sub-01/dwi/sub-01_dir-PA_dwi.bval": "0",
            "sub-01/dwi/sub-01_dir-PA_dwi.bvec": "",
        }
    )
    with pytest.raises(ParticipantError, match=r"sub-01_dwi\.bval: is missing.*add the file"):
        select(root, DWI)


def test_a_run_without_gradients_gives_way_to_one_with_them(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/dwi/sub-01_run-1_dwi.nii.gz": 6,
            "sub-01/dwi/sub-01_run-2_dwi.nii.gz": 3,
            "sub-01/dwi/sub-01_run-2_dwi.bval": "0 1 1",
            "sub-01/dwi/sub-01_run-2_dwi.bvec": "",
        }
    )
    series = select(root, DWI)
    assert series.entities["run"] == "2"
    assert series.notes[0].startswith("left out: ")


def test_one_broken_run_is_a_note(build_tree) -> None:
    series = select(build_tree(bold(task_rest_run_1=b"\x1f\x8b rubbish", task_rest_run_2=5)), BOLD)
    assert series.entities["run"] == "2"
    assert "sub-01_task-rest_run-1_bold.nii.gz: cannot be read" in series.notes[0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "bold.nii.gz: .*restore the file"),
        (b"not gzip at all", "bold.nii.gz: .*restore the file"),
        (gzip.compress(b"not an image" * 40, mtime=0), "bold.nii.gz: .*restore the file"),
        (gzip.compress(bytes(348), mtime=0)[:15], "bold.nii.gz: .*restore the file"),
        (0, r"has shape \(3, 3, 3\), a 4D series is needed"),
        (1, "a 4D series is needed"),
        (None, "the link points nowhere; run `datalad get"),
    ],
)
def test_a_series_that_cannot_be_used_says_why(build_tree, content, fault: str) -> None:
    root = build_tree({**bold(task_rest=content), "sub-01/anat/sub-01_T1w.nii.gz": ""})
    with pytest.raises(ParticipantError, match=fault):
        select(root, BOLD)


def test_dangling_gradients_and_sidecars_name_the_remedy(build_tree) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": 3, **GRADIENTS, "sub-01/dwi/sub-01_dwi.bval": None})
    with pytest.raises(
        ParticipantError, match=r"sub-01_dwi\.bval: the link points nowhere; run `datalad get"
    ):
        select(root, DWI)
    (root / "sub-01/dwi/sub-01_dwi.bval").unlink()
    (root / "sub-01/dwi/sub-01_dwi.json").symlink_to("nowhere.json")
    with pytest.raises(ParticipantError, match=r"sub-01_dwi\.json: the link points nowhere"):
        select(root, DWI)


@pytest.mark.parametrize("sidecar", ["{", "[1]", '{"run": 7}', b"\xff"])
def test_a_broken_sidecar_is_an_error_of_that_participant(build_tree, sidecar) -> None:
    root = build_tree({**bold(task_rest_run_1=5), "sub-01/func/sub-01_task-rest_run-1_bold.json": sidecar})
    with pytest.raises(ParticipantError, match="cannot be used"):
        select(root, BOLD)


def test_a_broken_file_elsewhere_does_no_harm(build_tree) -> None:
    root = build_tree(
        {
            **bold(task_rest=5),
            "sub-01/anat/sub-01_T1w.json": "{",
            "sub-01/fmap/sub-01_dir-AP_epi.json": "{",
            "sub-02/func/sub-02_task-rest_bold.json": "{",
            "derivatives/other/sub-01/func/sub-01_task-rest_bold.json": "{",
        }
    )
    assert select(root, BOLD).n_volumes == 5


def test_a_modality_that_was_not_acquired(build_tree) -> None:
    with pytest.raises(ParticipantError, match=r"dwi: holds no series named \*_dwi"):
        select(build_tree(bold(task_rest=5)), DWI)


def test_folder_names_above_the_dataset_do_not_matter(build_tree, tmp_path: Path) -> None:
    odd = tmp_path / "sub-99/ses-x/func/task-odd"
    odd.mkdir(parents=True)
    root = build_tree({**bold(task_rest=5), "task-rest_bold.json": {"RepetitionTime": 2}}).rename(
        odd / "dataset"
    )
    series = select(root, BOLD)
    assert series.entities["sub"] == "01"
    assert series.metadata == {"RepetitionTime": 2}


@pytest.mark.parametrize(("position", "value"), [(70, b"\x0f\x27"), (42, b"\xff\xff"), (344, b"xxxx")])
def test_a_damaged_header_is_a_clear_error(build_tree, position: int, value: bytes) -> None:
    content = bytearray(nb.Nifti1Image(np.ones((2, 2, 2, 3), np.int16), np.eye(4)).to_bytes())
    content[position : position + len(value)] = value  # data type, first dimension, magic
    root = build_tree({"sub-01/func/sub-01_task-rest_bold.nii": bytes(content)})
    with pytest.raises(ParticipantError, match=r"sub-01_task-rest_bold\.nii: "):
        select(root, BOLD)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 347), st.integers(0, 255))
def test_a_damaged_header_is_never_a_crash(tmp_path_factory, position: int, value: int) -> None:
    image = nb.Nifti1Image(np.ones((2, 2, 2, 3), np.int16), np.eye(4))
    content = bytearray(image.to_bytes())
    content[position] = value
    root = tmp_path_factory.mktemp("damaged")
    (root / "sub-01/func").mkdir(parents=True)
    (root / "sub-01/func/sub-01_task-rest_bold.nii").write_bytes(content)
    visit = Visit("01", None, frozenset({BOLD}), has_t1w=True)
    with contextlib.suppress(ParticipantError):
        assert select_series(root, visit, BOLD).n_volumes >= 2


def test_t1w_of_this_session_before_that_of_another(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz": "",
            "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz": None,
            "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w.nii.gz": "",
            "sub-01/ses-3/dwi/sub-01_ses-3_dwi.nii.gz": "",
            "sub-02/dwi/sub-02_dwi.nii.gz": "",
        }
    )
    chosen = [select_t1w(root, visit) for visit in inventory(root, Selection())]
    names = [path.name if path else None for path in chosen]
    assert names == [
        "sub-01_ses-1_T1w.nii.gz",
        "sub-01_ses-2_run-2_T1w.nii.gz",
        "sub-01_ses-1_T1w.nii.gz",
        None,
    ]


def test_the_shared_pairs(shared_data: Path) -> None:
    root = shared_data / "bids_real"
    for visit in inventory(root, Selection(participants=("01", "03"))):
        for modality in Modality:
            series = select_series(root, visit, modality)
            assert series.metadata["RepetitionTime"] > 0
            assert (series.bval is not None) == (modality is DWI)
