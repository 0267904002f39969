"""File names: composing and parsing are inverse, and no label leaves its folder."""

from __future__ import annotations

import pytest
from bidsschematools.schema import load_schema
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.bids.naming import ENTITY_ORDER, BidsName, natural_key

labels = st.text("abcXYZ0189+", min_size=1, max_size=8)
names = st.builds(
    BidsName,
    st.dictionaries(st.sampled_from(ENTITY_ORDER), labels),
    st.sampled_from(["bold", "trace", "T1w", "mask"]),
    st.sampled_from([".nii.gz", ".json", ".h5"]),
)


@given(names)
def test_a_composed_name_parses_to_the_same_parts(name: BidsName) -> None:
    assert BidsName.parse(name.compose()) == name


@given(names)
def test_entities_come_in_the_order_of_the_specification(name: BidsName) -> None:
    schema = load_schema()
    order = [schema.objects.entities[key].name for key in schema.rules.entities]
    parsed = BidsName.parse(name.compose())
    assert parsed is not None
    official = [key for key in parsed.entities if key in order]
    assert official == sorted(official, key=order.index)


@pytest.mark.parametrize("label", ["", "..", "../../etc", "a/b", "a_b", "a-b", "a b", "é", "a\n", "a\0"])
def test_a_label_that_could_leave_the_folder_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        BidsName({"sub": label}, "bold", ".nii.gz").compose()


@pytest.mark.parametrize(
    ("suffix", "extension"),
    [("", ".nii"), ("../x", ".nii"), ("bold", "/../x"), ("bold", "nii"), ("bold", "./")],
)
def test_a_suffix_or_extension_that_could_leave_the_folder_is_refused(suffix: str, extension: str) -> None:
    with pytest.raises(ValueError, match="suffix and extension"):
        BidsName({"sub": "01"}, suffix, extension).compose()


def test_an_unknown_entity_is_refused() -> None:
    with pytest.raises(ValueError, match="colour-red"):
        BidsName({"sub": "01", "colour": "red"}, "bold", ".nii.gz").compose()


@pytest.mark.parametrize(
    "filename", ["._sub-01_bold.nii.gz", "README", "sub-01__bold.nii", "_bold.nii", ".nii.gz"]
)
def test_what_is_no_bids_image_name_has_no_entities(filename: str) -> None:
    name = BidsName.parse(filename)
    assert name is None or not name.entities


@given(st.lists(st.integers(0, 200), unique=True))
def test_natural_order_is_the_order_of_the_numbers(numbers: list[int]) -> None:
    runs = [f"sub-01_run-{number}_bold.nii.gz" for number in numbers]
    assert sorted(runs, key=natural_key) == [f"sub-01_run-{number}_bold.nii.gz" for number in sorted(numbers)]
