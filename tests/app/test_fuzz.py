"""Whatever is in a header, a sidecar or a tree: an answer or an error for the user, and nothing else."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pds_bids.bids.derivatives import derivative_path
from pds_bids.bids.inventory import Visit, inventory
from pds_bids.bids.sources import select_series
from pds_bids.core.config import Selection
from pds_bids.core.errors import ParticipantError, PdsError
from pds_bids.core.modality import Modality
from pds_bids.prep.diffusion import read_gradients
from pds_bids.prep.series import open_series

from .faults.people import add_description, add_participant, grid

pytestmark = pytest.mark.slow

HEADER_BYTES = 352
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(FEW, max_examples=60)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
WORDS = st.sampled_from(
    [
        "sub-01",
        "sub-02",
        "ses-a",
        "func",
        "dwi",
        "anat",
        "task-rest",
        "_bold",
        "_dwi",
        ".nii.gz",
        "..",
        "é",
        " ",
        "-",
    ]
)
NAMES = st.lists(WORDS, min_size=1, max_size=4).map("".join).filter(lambda name: name not in ("..", "."))


@contextmanager
def answered() -> Iterator[None]:
    """An error for the user is an answer, if it is one line."""
    try:
        yield
    except PdsError as error:
        if "\n" in str(error):
            pytest.fail(str(error))


@MANY
@given(st.dictionaries(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255), min_size=1, max_size=12))
def test_any_header_is_a_series_or_a_fault(changes: dict[int, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        person = add_participant(Path(folder), "sub-01", Modality.BOLD)
        whole = bytearray(gzip.decompress(person.series.read_bytes()))
        for place, value in changes.items():
            whole[place] = value
        person.series.write_bytes(gzip.compress(bytes(whole), 1))
        with answered():
            series = open_series(person.series)
            for volume in series.volumes([0, series.n_volumes - 1]):
                assert volume.data.ndim == 3


@FEW
@given(JSON.map(json.dumps) | st.text() | st.binary())
def test_any_sidecar_is_metadata_or_a_fault(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bids = Path(folder)
        add_description(bids)
        person = add_participant(bids, "sub-01", Modality.BOLD)
        data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
        person.file(".json").write_bytes(data)
        visit = Visit("01", None, frozenset({Modality.BOLD}), has_t1w=False)
        with answered():
            assert isinstance(select_series(bids, visit, Modality.BOLD).metadata, dict)


@MANY
@given(st.text() | st.lists(st.floats()).map(str), st.text() | st.lists(st.floats()).map(str))
def test_any_gradient_table_is_one_or_a_fault(bvals: str, bvecs: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bval, bvec = Path(folder, "a.bval"), Path(folder, "a.bvec")
        bval.write_text(bvals, encoding="utf-8", errors="surrogatepass")
        bvec.write_text(bvecs, encoding="utf-8", errors="surrogatepass")
        with answered():
            assert read_gradients(bval, bvec, 2).bvecs.shape == (2, 3)


@MANY
@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8))
def test_any_tree_is_a_plan_or_a_fault(paths: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bids = Path(folder)
        add_description(bids)
        for *parents, name in paths:
            above = bids.joinpath(*parents)
            if not any(place.is_file() for place in (above, *above.parents)) and not (above / name).exists():
                above.mkdir(parents=True, exist_ok=True)
                (above / name).touch()
        with answered():
            for visit in inventory(bids, Selection()):
                assert visit.folder(Path("/out")).is_relative_to("/out")


@MANY
@given(*[st.text(min_size=1) | st.just("../../etc")] * 4)
def test_no_label_leads_out_of_the_output(subject: str, session: str, task: str, desc: str) -> None:
    out = Path("/out")
    try:
        path = derivative_path(
            out, subject, session, "func", suffix="bold", extension=".nii.gz", task=task, desc=desc
        )
    except ParticipantError:
        return
    assert path.resolve().is_relative_to(out)
    assert len(path.relative_to(out).parts) == 4


def test_the_grid_of_a_sound_participant_passes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        person = add_participant(Path(folder), "sub-01", Modality.BOLD)
        assert open_series(person.series).grid.matches(grid())
