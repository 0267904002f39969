from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pds_bids.core.seeds import derived_seed

names = st.lists(st.text(alphabet="abc01", max_size=3) | st.integers(0, 99), max_size=3)


@given(st.integers(0, 2**32), names)
def test_a_seed_suits_every_generator(seed, uses):
    assert 0 <= derived_seed(seed, *uses) < 2**63


def test_a_seed_is_the_same_in_every_version():
    assert derived_seed(0, "01", "", "dwi") == 8688319294956426059


def test_each_use_has_its_own_seed():
    seeds = {
        derived_seed(s, subject, use) for s in range(3) for subject in ("01", "02") for use in ("a", "b")
    }

    assert len(seeds) == 12
