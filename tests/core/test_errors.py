from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pds_bids.core import errors
from pds_bids.core.errors import NoSourceError, ParticipantError


@pytest.mark.parametrize("kind", [ParticipantError, NoSourceError])
def test_an_error_survives_the_way_back_from_a_worker(kind):
    error = pickle.loads(pickle.dumps(kind("sub-01", "has no source", "leave it out")))

    assert type(error) is kind
    assert (error.path, error.fault, error.remedy) == (Path("sub-01"), "has no source", "leave it out")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ParticipantError", 1),
        ("UsageError", 2),
        ("NotBidsError", 16),
        ("NothingSelectedError", 18),
        ("NoUsableParticipantError", 66),
        ("CannotWriteError", 73),
        ("TemporaryError", 75),
    ],
)
def test_exit_codes_are_those_of_the_contract(name, code):
    assert getattr(errors, name).exit_code == code
