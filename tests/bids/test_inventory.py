"""Who has what, on trees shaped like the public BIDS examples."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pds_bids.bids.inventory import Visit, inventory
from pds_bids.core.config import Selection
from pds_bids.core.errors import NotBidsError, NothingSelectedError
from pds_bids.core.modality import Modality

BOLD, DWI = Modality.BOLD, Modality.DWI

DS114 = {  # two sessions, several tasks, DWI in both
    f"sub-{subject}/ses-{session}/{name.format(f'sub-{subject}_ses-{session}')}": ""
    for subject in ("01", "02")
    for session in ("retest", "test")
    for name in (
        "anat/{}_T1w.nii.gz",
        "dwi/{}_dwi.nii.gz",
        "func/{}_task-linebisection_bold.nii.gz",
        "func/{}_task-fingerfootlips_bold.nii.gz",
    )
}


def only(visits: list[Visit]) -> Visit:
    (visit,) = visits
    return visit


def test_without_sessions_like_ds000001(build_tree) -> None:
    root = build_tree(
        {
            "task-balloon_bold.json": {},
            **{
                f"sub-{n:02}/func/sub-{n:02}_task-balloon_run-{run:02}_bold.nii.gz": ""
                for n in (1, 2, 10)
                for run in (1, 2, 3)
            },
            **{f"sub-{n:02}/anat/sub-{n:02}_T1w.nii.gz": "" for n in (1, 10)},
        }
    )
    visits = inventory(root, Selection())
    assert [visit.label for visit in visits] == ["sub-01", "sub-02", "sub-10"]
    assert all(visit.acquired == {BOLD} and visit.missing == {DWI} for visit in visits)
    assert [visit.has_t1w for visit in visits] == [True, False, True]
    assert visits[0].tasks == ("balloon",)


def test_each_session_is_a_visit_like_ds114(build_tree) -> None:
    visits = inventory(build_tree(DS114), Selection(sessions=("test",)))
    assert [visit.label for visit in visits] == ["sub-01/ses-test", "sub-02/ses-test"]
    assert visits[0].acquired == {BOLD, DWI}
    assert visits[0].tasks == ("fingerfootlips", "linebisection")


def test_t1w_of_another_session_counts(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz": "",
            "sub-01/ses-2/dwi/sub-01_ses-2_dwi.nii.gz": "",
        }
    )
    assert [visit.has_t1w for visit in inventory(root, Selection())] == [True, True]


def test_only_the_4d_suffixes_count(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/func/sub-01_task-rest_sbref.nii.gz": "",
            "sub-01/func/sub-01_task-rest_boldref.nii.gz": "",
            "sub-01/func/sub-01_task-rest_part-phase_bold.nii.gz": "",
            "sub-01/func/sub-01_task-rest_bold.json": {},
            "sub-01/func/._sub-01_task-rest_bold.nii.gz": "",
            "sub-01/dwi/sub-01_dir-AP_sbref.nii.gz": "",
            "sub-01/dwi/sub-01_dwi.bval": "",
            "sub-01/fmap/sub-01_dir-PA_epi.nii.gz": "",
        }
    )
    assert only(inventory(root, Selection())).acquired == frozenset()


def test_eeg_only_and_empty_subjects_are_listed(build_tree) -> None:
    root = build_tree({"sub-eeg/eeg/sub-eeg_task-rest_eeg.edf": "", "sub-t1/anat/sub-t1_T1w.nii.gz": ""})
    (root / "sub-empty").mkdir()
    visits = {visit.subject: visit for visit in inventory(root, Selection())}
    assert set(visits) == {"eeg", "t1", "empty"}
    assert all(not visit.acquired for visit in visits.values())
    assert visits["t1"].has_t1w


def test_a_dangling_link_is_not_acquired_but_remembered(build_tree) -> None:
    root = build_tree({"sub-01/func/sub-01_task-rest_bold.nii.gz": None, "sub-01/dwi/sub-01_dwi.nii.gz": ""})
    visit = only(inventory(root, Selection()))
    assert visit.acquired == {DWI}
    assert visit.unreadable == (root / "sub-01/func/sub-01_task-rest_bold.nii.gz",)


@pytest.mark.parametrize("evaluate", [True, False])
def test_what_is_not_fetched_is_not_synthesised(build_tree, evaluate: bool) -> None:
    root = build_tree({"sub-01/func/sub-01_task-rest_bold.nii.gz": None, "sub-01/dwi/sub-01_dwi.nii.gz": ""})
    visit = only(inventory(root, Selection()))
    assert (visit.missing, visit.unfetched) == ({BOLD}, {BOLD})
    assert visit.targets(tuple(Modality), evaluate) == ()


def test_one_run_that_is_there_is_enough(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/func/sub-01_task-rest_run-1_bold.nii.gz": None,
            "sub-01/func/sub-01_task-rest_run-2_bold.nii.gz": "",
            "sub-01/anat/sub-01_T1w.nii.gz": None,
        }
    )
    visit = only(inventory(root, Selection()))
    assert visit.unfetched == frozenset()
    assert visit.targets(tuple(Modality), evaluate=False) == (DWI,)


@pytest.mark.parametrize(
    "name",
    [
        "dwi/sub-02_dwi.nii.gz",
        "dwi/sub-01_ses-2_dwi.nii",
        "dwi/sub-02_sbref.nii.gz",
        "dwi/sub-01_dwi_old.nii.gz",
        "dwi/scan 3.nii",
        "dwi/sub-01_dwi.v2.nii.gz",
    ],
)
@pytest.mark.parametrize("session", [None, "1"])
def test_an_image_whose_name_does_not_fit_is_reported_and_never_used(
    build_tree, name: str, session: str | None
) -> None:
    folder, stem = ("sub-01", "sub-01") if session is None else ("sub-01/ses-1", "sub-01_ses-1")
    root = build_tree({f"{folder}/{name}": "", f"{folder}/func/{stem}_task-rest_bold.nii.gz": ""})
    visit = only(inventory(root, Selection()))
    assert visit.acquired == {BOLD}
    assert visit.odd == (root / folder / name,)


def test_what_is_no_image_and_what_says_less_than_its_folder_is_not_odd(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/ses-1/dwi/sub-01_dwi.nii.gz": "",
            "sub-01/ses-1/dwi/._sub-01_ses-1_dwi.nii.gz": "",
            "sub-01/ses-1/dwi/notes.txt": "",
            "sub-01/ses-1/func/sub-01_ses-1_task-rest_events.tsv": "",
        }
    )
    visit = only(inventory(root, Selection()))
    assert (visit.acquired, visit.odd) == ({DWI}, ())


def test_the_t1w_of_another_subject_is_no_t1w(build_tree) -> None:
    root = build_tree({"sub-01/anat/sub-02_T1w.nii.gz": "", "sub-01/dwi/sub-01_dwi.nii.gz": ""})
    assert not only(inventory(root, Selection())).has_t1w


def test_a_link_to_content_is_acquired(build_tree) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": None, ".git/annex/objects/nowhere": "content"})
    link = root / "sub-01/dwi/sub-01_dwi.nii.gz"
    link.unlink()
    link.symlink_to("../../.git/annex/objects/nowhere")
    assert only(inventory(root, Selection())).acquired == {DWI}


def test_malformed_labels_are_ignored_with_a_warning(build_tree, caplog) -> None:
    root = build_tree(
        {"sub-01/dwi/sub-01_dwi.nii.gz": "", "sub-01_old/dwi/sub-01_dwi.nii.gz": "", "sub-/x": ""}
    )
    assert only(inventory(root, Selection())).subject == "01"
    assert "sub-01_old" in caplog.text


def test_the_task_makes_no_acquired_bold_missing(build_tree) -> None:
    root = build_tree(
        {
            "sub-01/func/sub-01_task-rest_bold.nii.gz": "",
            "sub-02/func/sub-02_task-nback_bold.nii.gz": "",
            "sub-02/dwi/sub-02_dwi.nii.gz": "",
        }
    )
    acquired = [visit.acquired for visit in inventory(root, Selection(task="rest"))]
    assert acquired == [{BOLD}, {BOLD, DWI}]
    with pytest.raises(NothingSelectedError, match="no task gambling; choose from those it has: nback, rest"):
        inventory(root, Selection(task="gambling"))


def test_a_subject_with_dwi_alone_contradicts_no_task(build_tree) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": ""})
    assert only(inventory(root, Selection(task="rest"))).acquired == {DWI}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (
            Selection(participants=("01", "99", "98")),
            "no participant 99, 98; choose from those it has: 01, 02",
        ),
        (Selection(sessions=("test", "third")), "no session third; choose from those it has: retest, test"),
    ],
)
def test_labels_that_do_not_exist_are_named(build_tree, selection: Selection, message: str) -> None:
    with pytest.raises(NothingSelectedError, match=message):
        inventory(build_tree(DS114), selection)


def test_a_session_of_a_dataset_without_sessions(build_tree) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": ""})
    with pytest.raises(
        NothingSelectedError, match="no session 01, for it has no sessions; leave --session-label"
    ):
        inventory(root, Selection(sessions=("01",)))


@pytest.mark.parametrize(
    ("acquired", "unreadable", "why"),
    [
        ({BOLD, DWI}, (), "nothing-missing"),
        ({BOLD}, (), "not-asked-for"),
        ({BOLD}, (Path("sub-01/dwi/sub-01_dwi.nii.gz"),), "not-fetched"),
    ],
)
def test_why_nothing_is_to_be_done(acquired, unreadable, why: str) -> None:
    visit = Visit("01", None, frozenset(acquired), has_t1w=False, unreadable=unreadable)
    assert visit.targets((BOLD,), evaluate=False) == ()
    assert visit.idle == why


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "has no Name"),
        (b"\xff\xfe", "cannot be read"),
        ({"BIDSVersion": "1.8.0"}, "has no Name"),
        ({"Name": "x", "BIDSVersion": ""}, "has no BIDSVersion"),
        ({"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}, "is a derivative dataset"),
        (None, "datalad get"),
    ],
)
def test_input_that_is_not_bids_says_why(build_tree, description, message: str) -> None:
    root = build_tree({"dataset_description.json": description, "sub-01/dwi/sub-01_dwi.nii.gz": ""})
    with pytest.raises(NotBidsError, match=message):
        inventory(root, Selection())


def test_a_dataset_without_a_description_is_not_bids(build_tree) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": ""})
    (root / "dataset_description.json").unlink()
    with pytest.raises(NotBidsError, match="is missing"):
        inventory(root, Selection())


def test_a_dataset_without_subjects_and_a_folder_that_is_absent_are_not_bids(
    build_tree, tmp_path: Path
) -> None:
    root = build_tree({"participants.tsv": "participant_id\n"})
    with pytest.raises(NotBidsError, match=r"no sub-\* folder"):
        inventory(root, Selection())
    with pytest.raises(NotBidsError, match="not a folder"):
        inventory(tmp_path / "absent", Selection())


@pytest.mark.parametrize(
    ("acquired", "evaluate", "targets"),
    [
        (set(), True, ()),
        ({BOLD}, False, (DWI,)),
        ({BOLD}, True, (DWI,)),
        ({DWI}, False, (BOLD,)),
        ({BOLD, DWI}, False, ()),
        ({BOLD, DWI}, True, (BOLD, DWI)),
    ],
)
def test_targets_need_the_other_modality(acquired, evaluate: bool, targets) -> None:
    visit = Visit("01", None, frozenset(acquired), has_t1w=False)
    assert visit.targets(tuple(Modality), evaluate) == targets
    for wanted in Modality:
        assert visit.targets((wanted,), evaluate) == tuple(target for target in targets if target is wanted)


def listings(call: Callable[[], object]) -> int:
    """How many folders a call lists: what discovery costs, and the same on every machine."""
    listed: list[str] = []
    counting = True
    sys.addaudithook(
        lambda event, given: listed.append(event) if counting and event == "os.scandir" else None
    )
    call()
    counting = False  # an audit hook stays for good
    return len(listed)


@pytest.mark.parametrize("with_t1w", [True, False])
def test_discovery_lists_every_folder_a_fixed_number_of_times(tmp_path: Path, with_t1w: bool) -> None:
    counts = []
    for n in (10, 20):
        root = tmp_path / str(n)
        for number in range(n):
            names = ["func/{}_task-rest_bold.nii.gz", "dwi/{}_dwi.nii.gz", *with_t1w * ["anat/{}_T1w.nii.gz"]]
            for name in names:
                path = root / f"sub-{number:02}" / name.format(f"sub-{number:02}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        (root / "dataset_description.json").write_text('{"Name": "large", "BIDSVersion": "1.10.0"}')
        counts.append(listings(lambda root=root: inventory(root, Selection())))

    per_subject = (counts[1] - counts[0]) / 10
    assert counts[0] == 1 + 10 * per_subject  # the dataset's folder once, and the same for every subject
    assert per_subject <= 6


def test_the_shared_datasets(shared_data: Path) -> None:
    acquired = {
        visit.subject: visit.acquired for visit in inventory(shared_data / "bids_single", Selection())
    }
    assert acquired.pop("t01") == set()
    assert all(found == ({BOLD} if subject.startswith("b") else {DWI}) for subject, found in acquired.items())


def test_a_dataset_that_may_not_be_listed_is_one_line(build_tree, monkeypatch) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": ""})

    def refuse(path: Path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(NotBidsError, match="cannot be listed") as caught:
        inventory(root, Selection())
    assert str(caught.value) == f"{root}: cannot be listed (Permission denied); grant access to it"


def test_a_locked_modality_is_not_synthesised(build_tree, monkeypatch) -> None:
    root = build_tree({"sub-01/func/sub-01_task-rest_bold.nii.gz": "", "sub-01/dwi/sub-01_dwi.nii.gz": ""})
    scandir = os.scandir

    def refuse(path: Path):
        if Path(path).name == "dwi":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    visit = only(inventory(root, Selection()))
    assert (visit.acquired, visit.unfetched) == ({BOLD}, {DWI})
    assert visit.targets(tuple(Modality), evaluate=False) == ()


@pytest.mark.parametrize("folder", ["sub-01", "sub-01/dwi"])
def test_a_locked_folder_troubles_only_its_visit(build_tree, monkeypatch, folder: str) -> None:
    root = build_tree({"sub-01/dwi/sub-01_dwi.nii.gz": "", "sub-02/dwi/sub-02_dwi.nii.gz": ""})
    locked = root / folder
    scandir = os.scandir

    def refuse(path: Path):  # root may list everything, so that real permissions prove nothing in a container
        if Path(path).is_relative_to(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    visits = inventory(root, Selection())
    assert [visit.acquired for visit in visits] == [frozenset(), {DWI}]
    assert visits[0].unreadable[0].is_relative_to(root / "sub-01")


def test_series_beside_sessions_are_a_visit_of_their_own(build_tree) -> None:
    root = build_tree(
        {"sub-01/dwi/sub-01_dwi.nii.gz": "", "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii": ""}
    )
    visits = inventory(root, Selection())
    assert [(visit.label, visit.acquired) for visit in visits] == [
        ("sub-01", {DWI}),
        ("sub-01/ses-1", {BOLD}),
    ]
    assert [visit.label for visit in inventory(root, Selection(sessions=("1",)))] == ["sub-01/ses-1"]
