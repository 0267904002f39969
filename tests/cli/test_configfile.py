"""`--config-file`: what a run wrote down is what it is told again, and the command line wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pds_bids.app.provenance import settings_toml
from pds_bids.cli import main
from pds_bids.cli.main import SECTIONS


@pytest.fixture
def configured(pds_bids_command, workflows, tmp_path):
    """Options -> the Config that the participant workflow was called with."""
    (tmp_path / "in").mkdir()

    def configure(*options):
        ended = pds_bids_command(tmp_path / "in", tmp_path / "out", "participant", *options)
        assert ended.code == 0, ended.err
        return workflows.participant.run.calls[-1][0]

    return configure


@pytest.fixture
def every_setting(tmp_path):
    """Options that change every field of the configuration."""
    filters = tmp_path / "filters.json"
    filters.write_text('{"bold": {"run": [1, null]}, "t1w": {"acquisition": "mprage"}}')
    return (
        *("--participant-label", "01", "02", "--session-label", "a", "-t", "nback", "--target", "dwi"),
        *("--evaluate", "--bids-filter-file", filters, "-d", f"fmriprep={tmp_path}"),
        *("--bids-database-dir", tmp_path / "db", "--model", 'it\'s "mine"', "--num-samples", 3),
        *("--save-draws", "--sampling-steps", 2, "--random-seed", 7, "--output-spaces", "model"),
        *("--sloppy", "--strict-qc", "--device", "cpu", "--nprocs", 2, "--omp-nthreads", 3),
        *("--mem", "64GB", "--low-mem", "--resource-monitor", "--reports-only", "-w", tmp_path / "work"),
        *("--clean-workdir", "--overwrite", "--stop-on-first-crash", "--scheduler", "10.0.0.1:8786"),
    )


def test_every_setting_is_read_back(configured, every_setting, tmp_path):
    config = configured(*every_setting)
    untouched = configured()
    for name, kind in SECTIONS.items():
        for field in kind.__dataclass_fields__:
            assert getattr(getattr(config, name), field) != getattr(getattr(untouched, name), field), field
    file = tmp_path / "pds-bids.toml"
    file.write_text(settings_toml(config))

    alone = replace(config, run=replace(config.run, scheduler=None))  # which is gone later
    assert configured("--config-file", file) == alone


def test_what_was_left_to_the_machine_is_read_back_too(configured, monkeypatch, tmp_path):
    monkeypatch.setattr(main, "default_threads", lambda nprocs: 5)
    file = tmp_path / "pds-bids.toml"
    file.write_text(settings_toml(config := configured()))
    monkeypatch.setattr(main, "default_threads", lambda nprocs: 6)

    assert configured("--config-file", file) == config


def test_the_command_line_wins(configured, every_setting, tmp_path):
    config = configured(*every_setting)
    file = tmp_path / "pds-bids.toml"
    file.write_text(settings_toml(config))

    given = configured("--config-file", file, "--no-sloppy", "--random-seed", 8, "--participant-label", "09")

    assert given.prep == replace(config.prep, sloppy=False, seed=8)
    assert given.synthesis == replace(config.synthesis, seed=8)
    assert given.selection == replace(config.selection, participants=("09",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[prep", "is not TOML"),
        ("[prep]\ncolour = 1", "prep.colour is no setting"),
        ("colour = 1", "colour is no setting"),
        ("[prep]\nseed = 1\n[synthesis]\nseed = 2", "synthesis.seed differs"),
        ("[selection]\nparticipants = '01'", "selection.participants must be a list"),
        ("[selection]\nparticipants = ['../01']", "'../01' is not a label"),
        ("[output]\nnprocs = [1, 2]", "'1,2' is not a valid integer"),
        ("[output]\nnprocs = true", "'True' is not a valid integer"),
        ("[synthesis]\ndevice = 'gpu'", "'gpu' is not a device"),
        ("[selection.filters]\nbold = 'x'", "is not a BIDS filter file"),
        ("[run]\nonly = 'groups'", "'groups' is not one of"),
    ],
)
def test_a_wrong_file_is_refused_like_a_wrong_command_line(
    pds_bids_command, workflows, tmp_path, content, said
):
    file = tmp_path / "pds-bids.toml"
    file.write_text(content)
    (tmp_path / "in").mkdir()

    ended = pds_bids_command(tmp_path / "in", tmp_path / "out", "participant", "--config-file", file)

    assert ended.code == 2
    assert said in ended.err
    assert not workflows.participant.run.calls
