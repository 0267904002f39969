from __future__ import annotations

import pytest

from pds_bids.core.modality import Modality


def test_the_other_of_the_other_is_the_same():
    assert [m.other.other for m in Modality] == list(Modality)
    assert all(m.other is not m for m in Modality)


@pytest.mark.parametrize("modality", Modality)
def test_a_mean_volume_never_bears_the_suffix_of_a_series(modality):
    assert modality.mean_suffix not in {"bold", "dwi"}


@pytest.mark.parametrize("name", ["datatype", "mean_suffix", "full_name"])
def test_the_two_are_told_apart(name):
    assert len({getattr(m, name) for m in Modality}) == len(Modality)
