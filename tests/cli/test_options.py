"""Labels, as they are typed."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.cli.options import Label


@pytest.mark.parametrize("value", ["", "sub-", "sub_01", "01 ", "0/1", "sub-sub-01", "٣"])
def test_labels_are_letters_and_digits(value):
    with pytest.raises(click.BadParameter, match="is not a label"):
        Label("sub").convert(value, None, None)


@given(st.from_regex("[0-9A-Za-z]{1,8}", fullmatch=True))
def test_a_label_is_the_same_with_and_without_its_entity(label):
    assert (
        Label("ses").convert(f"ses-{label}", None, None) == Label("ses").convert(label, None, None) == label
    )
