"""BIDS filter files: what passes, what is refused, and that nothing they leave out counts as missing."""

from __future__ import annotations

import pytest

from pds_bids.bids.filters import accepts, require_known
from pds_bids.bids.inventory import inventory
from pds_bids.bids.sources import select_series, select_t1w
from pds_bids.core.config import Selection
from pds_bids.core.errors import NothingSelectedError, ParticipantError, UsageError
from pds_bids.core.modality import Modality

TREE = {
    **{
        f"sub-01/ses-{s}/func/sub-01_ses-{s}_task-rest_run-{r}_bold.nii.gz": 4 + r
        for s in "ab"
        for r in (1, 2)
    },
    "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_T1w.nii.gz": 0,
    "sub-01/ses-a/anat/sub-01_ses-a_acq-mprage_T1w.nii.gz": 0,
}


def test_the_series_and_the_t1w_are_those_that_pass(build_tree) -> None:
    root = build_tree(TREE)
    visit, _ = inventory(root, Selection())
    filters = {"bold": {"run": ("01",)}, "t1w": {"acquisition": ("mprage",)}}

    assert select_series(root, visit, Modality.BOLD).entities["run"] == "2"
    assert select_series(root, visit, Modality.BOLD, filters=filters).entities["run"] == "1"
    assert select_t1w(root, visit).name.endswith("acq-fast_T1w.nii.gz")
    assert select_t1w(root, visit, filters).name.endswith("acq-mprage_T1w.nii.gz")
    assert select_t1w(root, visit, {"t1w": {"acquisition": ("Query.NONE",)}}) is None


def test_what_does_not_pass_was_acquired_all_the_same(build_tree) -> None:
    root = build_tree(TREE)
    filters = {"bold": {"run": ("7",)}}
    visit, _ = inventory(root, Selection(filters=filters))

    assert visit.acquired == {Modality.BOLD}
    with pytest.raises(ParticipantError, match="no series passes the BIDS filter file"):
        select_series(root, visit, Modality.BOLD, filters=filters)


def test_sessions_of_the_filters_are_the_sessions_of_the_run(build_tree) -> None:
    root = build_tree(TREE)
    filters = {kind: {"session": ("ses-b",)} for kind in ("bold", "dwi")}

    assert [visit.session for visit in inventory(root, Selection(filters=filters))] == ["b"]
    assert [visit.session for visit in inventory(root, Selection(filters=filters, sessions=("a",)))] == ["a"]
    assert len(inventory(root, Selection(filters={"bold": {"session": ("b",)}}))) == 2  # dwi is not limited
    with pytest.raises(NothingSelectedError):
        inventory(root, Selection(filters={kind: {"session": ("c",)} for kind in ("bold", "dwi")}))


@pytest.mark.parametrize(
    ("labels", "entities", "passes"),
    [
        (("Query.NONE",), {}, True),
        (("Query.NONE",), {"acq": "x"}, False),
        (("Query.ANY",), {"acq": "x"}, True),
        (("Query.ANY",), {}, False),
        (("Query.OPTIONAL",), {}, True),
        (("x", "Query.NONE"), {}, True),
        (("acq-x",), {"acq": "x"}, True),
        (("01",), {"acq": "1"}, False),  # a label, not a number
    ],
)
def test_queries_of_pybids(labels, entities, passes) -> None:
    assert accepts({"bold": {"acquisition": labels}}, "bold", entities) is passes


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"bold": {"suffix": ("sbref",)}}, "leave its suffix out"),
        ({"t1w": {"subject": ("01",)}}, "filtered by subject"),
        ({"dwi": {"../run": ("1",)}}, "filtered by ../run"),
    ],
)
def test_what_would_not_be_heeded_is_refused(filters, said) -> None:
    with pytest.raises(UsageError, match=said):
        require_known(filters)


def test_files_of_other_programs_are_understood() -> None:
    babs = {
        "fmap": {"datatype": ("fmap",)},
        "bold": {"datatype": ("func",), "suffix": ("bold",), "session": ("ses-1",)},
        "t2w": {"subject": ("x",)},
    }
    require_known(babs)
    assert accepts(babs, "bold", {"ses": "1"})
