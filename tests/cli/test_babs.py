"""`hpc/babs.yaml`: the command line that BABS makes of it is one that pds-bids understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds_bids.core.config import Selection

RECIPE = Path(__file__).resolve().parents[2] / "hpc" / "babs.yaml"
SESSION = "$SESSION_SELECTION_FLAG"


@pytest.fixture(scope="module")
def recipe() -> dict:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, absent here")
    # With the line that BABS wants for one job a session.
    return yaml.safe_load(RECIPE.read_text().replace(f"# {SESSION}", SESSION))


def test_the_sections_are_those_that_babs_reads(recipe):
    assert {"input_datasets", "bids_app_args", "singularity_args", "zip_foldernames"} <= set(recipe)
    (name,) = recipe["zip_foldernames"]
    assert "prep" not in name  # BABS would make a filter file of fMRIPrep's for it
    assert all(isinstance(value, str) for value in recipe["bids_app_args"].values())


def test_pds_bids_understands_the_arguments(recipe, pds_bids_command, workflows, tmp_path):
    filled = {"$BABS_TMPDIR": str(tmp_path / "work")}
    arguments = dict(recipe["bids_app_args"])
    subject, session = arguments.pop("$SUBJECT_SELECTION_FLAG"), arguments.pop(SESSION)
    (tmp_path / "in").mkdir()

    ended = pds_bids_command(
        *(tmp_path / "in", tmp_path / "out", "participant", session, "ses-1"),
        *(word for name, value in arguments.items() for word in (name, filled.get(value, value)) if word),
        *(subject, "sub-01"),
    )

    assert ended.code == 0, ended.err
    ((config,),) = workflows.participant.run.calls
    assert config.selection == Selection(("01",), ("1",))
    assert config.work_dir == tmp_path / "work"
