"""One simulated dataset and one finished run of it, shared by every test of the workflows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from pds_bids.app import participant
from pds_bids.app.demo import write_study
from pds_bids.core.config import Config, PrepConfig, SynthesisConfig


class Finished(NamedTuple):
    """A run that came to its end."""

    config: Config
    code: int


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated subjects: 01 has both modalities, 02 only BOLD, 03 only DWI."""
    folder = tmp_path_factory.mktemp("raw") / "bids"
    write_study(folder, seed=0, processes=1)
    return folder


@pytest.fixture(scope="session")
def config(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Coarse settings, one thread."""
    folder = tmp_path_factory.mktemp("run")
    return Config(
        bids_dir=raw,
        output_dir=folder / "out",
        work_dir=folder / "work",
        prep=PrepConfig(threads=1, sloppy=True),
        synthesis=SynthesisConfig(threads=1),
    )


@pytest.fixture(scope="session")
def finished(config: Config) -> Finished:
    """The whole dataset, processed once."""
    return Finished(config, participant.run(config))


def elsewhere(config: Config, folder: Path, *participants: str) -> Config:
    """The same settings for some participants, with other folders to write to."""
    selection = replace(config.selection, participants=participants)
    return replace(config, output_dir=folder / "out", work_dir=folder / "work", selection=selection)
