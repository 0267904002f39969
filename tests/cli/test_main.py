"""`pds-bids`: what reaches the workflows, and what is refused before they start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from pds_bids.cli import bidsapp, main
from pds_bids.core import errors
from pds_bids.core.config import Config, OutputConfig, PrepConfig, RunConfig, Selection, SynthesisConfig
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE, MODEL_SPACE


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def configured(pds_bids_command, workflows, folders):
    """Options -> the Config that the participant workflow was called with."""

    def configure(*options: object) -> Config:
        ended = pds_bids_command(*folders, "participant", *options)
        assert ended.code == 0, ended.err
        return workflows.participant.run.calls[-1][0]

    return configure


def test_defaults_are_those_of_the_config(configured, folders, monkeypatch):
    monkeypatch.setattr(main, "default_threads", lambda nprocs: 5)

    config = configured()

    assert (config.bids_dir, config.output_dir) == folders
    assert config.selection == Selection()
    assert config.prep == PrepConfig(threads=5)
    assert config.synthesis == SynthesisConfig(threads=5)
    assert config.output == OutputConfig()


def test_every_option_reaches_its_section(configured, tmp_path):
    filters = tmp_path / "filters.json"
    filters.write_text('{"bold": {"run": 1, "direction": ["AP", null]}}')

    config = configured(
        *("--participant-label", "sub-01", "02", "--session-id", "ses-a", "b", "-t", "task-rest"),
        *("--target", "dwi", "--evaluate", "--model", "tiny", "--num-samples", 4, "--sampling-steps", 2),
        *("--random-seed", 7, "--device", "cuda:1", "--nprocs", 3, "--omp-nthreads", 2),
        *("--output-spaces", "model", "native", "--sloppy", "--overwrite", "--stop-on-first-crash"),
        *("-w", tmp_path / "work", "--skip-bids-validation", "--notrack", "--bids-filter-file", filters),
        *("-d", f"fmriprep={tmp_path}", "--bids-database-dir", tmp_path / "db", "--save-draws", "--low-mem"),
        *("--preproc-only", "--strict-qc", "--mem", "9GB", "--clean-workdir", "--resource-monitor"),
    )

    assert config.work_dir == tmp_path / "work"
    assert config.selection == Selection(
        participants=("01", "02"),
        sessions=("a", "b"),
        task="rest",
        targets=(Modality.DWI,),
        evaluate=True,
        filters={"bold": {"run": ("1",), "direction": ("AP", "Query.NONE")}},
        derivatives={"fmriprep": tmp_path},
        database_dir=tmp_path / "db",
    )
    assert config.prep == PrepConfig(threads=2, seed=7, sloppy=True, low_mem=True)
    assert config.synthesis == SynthesisConfig("tiny", 4, 2, 7, "cuda:1", 2)
    assert config.output == OutputConfig(("model", "native"), True, True, 3, save_draws=True)
    assert config.run == RunConfig("preproc", True, 9000, clean_work_dir=True, resource_monitor=True)


@pytest.mark.parametrize("part", ["preproc", "reports", "boilerplate"])
def test_a_part_of_the_work_may_be_asked_for(configured, part):
    assert configured(f"--{part}-only").run.only == part


def test_memory_limits_how_many_participants_run_at_once(configured, monkeypatch, caplog):
    monkeypatch.setattr(main, "available_memory_mb", lambda: 2.5 * main.PARTICIPANT_MB)
    config = configured("--nprocs", 8)
    assert config.output.nprocs == 2
    assert "2 participants at once, not 8" in caplog.text
    assert config.prep.threads == main.default_threads(2)
    assert configured("--nprocs", 2).output.nprocs == 2
    assert configured("--nprocs", 8, "--mem", "100GB").output.nprocs == 8  # the user knows better
    assert configured("--nprocs", 8, "--mem", 10).output.nprocs == 1


@pytest.mark.parametrize("modality", Modality)
def test_target_is_named_by_its_folder(configured, modality):
    assert configured("--target", modality.datatype).selection.targets == (modality,)


def test_spaces_are_those_that_volumes_can_have():
    assert set(bidsapp.SPACES) == {"native", ATLAS_SPACE, MODEL_SPACE}


def test_sloppy_takes_one_step_unless_told_otherwise(configured):
    assert configured("--sloppy").synthesis.steps == 1
    assert configured("--sloppy", "--sampling-steps", 3).synthesis.steps == 3


@pytest.mark.parametrize(
    "spelling",
    [
        "IN OUT participant --participant-label 01 02",
        "IN OUT participant --participant_label 01 02",
        "IN OUT participant --participant-label=01 02",
        "IN OUT participant --participant-label=sub-01 --participant-label sub-02",
        "IN OUT participant --participant-label 01 --sloppy --participant-label 02 01",
        "IN OUT --participant-label 01 02 -- participant",
        "--participant-label 01 02 -- IN OUT participant",
        "--participant-label 01 02 --random-seed 5 IN OUT participant",
        "--participant-label 01 02 -vv IN OUT participant",
    ],
)
def test_lists_are_understood_wherever_they_stand(pds_bids_command, workflows, folders, spelling):
    places = dict(zip(("IN", "OUT"), folders, strict=True))

    ended = pds_bids_command(*(places.get(word, word) for word in spelling.split()))

    assert ended.code == 0, ended.err
    config = workflows.participant.run.calls[0][0]
    assert config.selection.participants == ("01", "02")
    assert (config.bids_dir, config.output_dir) == folders


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--participant-label 01_02", "'01_02' is not a label"),
        ("--participant-label ../01", "'../01' is not a label"),
        ("--participant-label=", "'' is not a label"),
        ("--participant-label sub-", "'sub-' is not a label"),
        ("--participant-label 01 -2", "'-2' is not a label"),
        ("--participant-label", "'--participant-label' needs at least one value"),
        ("--participant-label --sloppy", "'--participant-label' needs at least one value"),
        ("--participant-label -- 01", "'--participant-label' needs at least one value"),
        ("--session-label é", "'é' is not a label"),
        ("--random-seed -5", "-5 is not in the range"),
        ("--num-samples -1", "-1 is not in the range"),
        ("--sampling-steps 0", "0 is not in the range"),
        ("--nprocs 0", "0 is not in the range"),
        ("--device gpu", "'gpu' is not a device"),
        ("--device cuda:", "'cuda:' is not a device"),
        ("--output-spaces MNI", "'MNI' is not one of"),
        ("--target bold", "'bold' is not one of"),
        ("--format json", "add --dry-run"),
        ("--no-such-option", "No such option"),
        ("surplus", "unexpected extra argument"),
        ("-- --sloppy", "move --sloppy before it"),
        ("--work-dir=", "the path is empty"),
        ("--mem lots", "'lots' is not an amount of memory"),
        ("--mem 0", "'0' is not an amount of memory"),
        ("--save-draws", "add --num-samples"),
        ("--save-draws --num-samples 2 --sloppy", "add --sampling-steps 2"),
        ("-d fmriprep=/no/such/folder", "is not a folder"),
        ("-d raw=/", "cannot name a dataset"),
        ("-d ../x=/", "cannot name a dataset"),
        ("-d a=/ a=/tmp", "two datasets have one name"),
        ("--bids-filter-file /no/such.json", "cannot be read"),
        ("--bids-filter-file /dev/null", "is not a BIDS filter file"),
        ("--config-file /no/such.toml", "cannot be read"),
    ],
)
def test_usage_errors_end_with_2_and_say_why(pds_bids_command, workflows, folders, options, said):
    ended = pds_bids_command(*folders, "participant", *options.split())

    assert ended.code == 2
    assert said in ended.err
    assert not workflows.participant.run.calls


def test_a_list_that_swallows_the_arguments_is_told_how_to_end(pds_bids_command):
    ended = pds_bids_command("--participant-label", "01", "in", "out", "participant")

    assert ended.code == 2
    assert "end the list with `--`" in ended.err
    assert ".." not in ended.err


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_path_is_not_the_current_folder(pds_bids_command, workflows, folders, empty):
    places = ["" if i == empty else folder for i, folder in enumerate(folders)]

    ended = pds_bids_command(*places, "participant")

    assert ended.code == 2
    assert "the path is empty" in ended.err
    assert not workflows.participant.run.calls


@pytest.mark.parametrize(("given", "missing"), [((), "BIDS_DIR"), (("in", "out"), "{participant|group}")])
def test_missing_arguments_without_a_list_get_no_such_hint(pds_bids_command, given, missing):
    ended = pds_bids_command(*given)

    assert ended.code == 2
    assert missing in ended.err
    assert "end the list" not in ended.err
    assert ".." not in ended.err


@pytest.mark.parametrize("layout", main.FORMATS)
def test_dry_run_prints_the_plan_and_runs_nothing(pds_bids_command, workflows, folders, layout):
    workflows.participant.dry_run.answer = "who misses what"

    ended = pds_bids_command(*folders, "participant", "--dry-run", "--format", layout)

    assert ended == (0, "who misses what\n", "")
    assert workflows.participant.dry_run.calls[0][1] == layout
    assert not workflows.participant.run.calls
    assert not folders[1].exists()


def test_a_list_of_nobody_is_empty(pds_bids_command, workflows, folders):
    workflows.participant.dry_run.answer = ""

    ended = pds_bids_command(*folders, "participant", "--dry-run", "--format", "list")

    assert ended == (0, "", "nothing to do\n")


def test_group_runs_the_group_workflow(pds_bids_command, workflows, folders):
    assert pds_bids_command(*folders, "group").code == 0
    assert workflows.group.run.calls[0][0].output_dir == folders[1]


@pytest.mark.parametrize("options", [["--dry-run"], ["--participant-label", "01"], ["--session-label", "a"]])
def test_group_refuses_what_it_would_not_heed(pds_bids_command, workflows, folders, options):
    ended = pds_bids_command(*folders, "group", *options)

    assert ended.code == 2
    assert f"leave {options[0]} out" in ended.err
    assert not workflows.group.run.calls


EXIT_CODES = {
    errors.UsageError: 2,
    errors.NotBidsError: 16,
    errors.NothingSelectedError: 18,
    errors.NoUsableParticipantError: 66,
    errors.CannotWriteError: 73,
    errors.TemporaryError: 75,
}


@pytest.mark.parametrize(("error", "code"), list(EXIT_CODES.items()))
def test_an_error_becomes_one_line_and_its_exit_code(pds_bids_command, workflows, folders, error, code):
    workflows.participant.run.answer = error("in: this is wrong; do that")

    assert pds_bids_command(*folders, "participant") == (
        code,
        "",
        "pds-bids: error: in: this is wrong; do that\n",
    )


def test_the_workflow_s_own_exit_code_is_kept(pds_bids_command, workflows, folders):
    workflows.participant.run.answer = 1

    assert pds_bids_command(*folders, "participant").code == 1


def test_an_interrupt_ends_with_130(pds_bids_command, workflows, folders):
    workflows.participant.run.answer = KeyboardInterrupt()

    ended = pds_bids_command(*folders, "participant")

    assert ended.code == 130
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("output", "work", "code"),
    [
        ("in", "work", 2),
        ("in/out", "work", 2),
        ("in/derivatives-old", "work", 2),
        ("in/derivatives/../out", "work", 2),
        ("link", "work", 2),
        ("out", "in", 2),
        ("out", "in/work", 2),
        ("in/derivatives/pds", "in/derivatives/work", 2),
        ("in/derivatives/pds", "work", 0),
        ("inside", "work", 0),
        (".", "work", 0),  # the dataset below the derivatives, as in OUT/sourcedata/raw
    ],
)
def test_nothing_may_be_written_into_the_dataset(pds_bids_command, workflows, tmp_path, output, work, code):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")

    ended = pds_bids_command(tmp_path / "in", tmp_path / output, "participant", "-w", tmp_path / work)

    assert ended.code == code, ended.err
    assert len(workflows.participant.run.calls) == (code == 0)


def test_a_database_is_not_made_in_the_dataset(pds_bids_command, workflows, folders):
    ended = pds_bids_command(
        *folders, "participant", "--bids-database-dir", folders[0] / "derivatives" / "db"
    )

    assert ended.code == 2
    assert "give --bids-database-dir another folder" in ended.err
    assert not workflows.participant.run.calls


def test_the_default_work_folder_is_temporary_and_found_again(configured, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "scratch"))

    first, second = configured().work_dir, configured().work_dir

    assert first == second
    assert first.parent == tmp_path / "scratch"
    assert first != main.default_work_dir(tmp_path / "other")


def test_no_place_for_temporary_files_is_said(pds_bids_command, folders, monkeypatch):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", nowhere)

    ended = pds_bids_command(*folders, "participant")

    assert ended.code == 73
    assert "--work-dir" in ended.err


@pytest.mark.parametrize(
    ("options", "level"), [((), logging.WARNING), (("-v",), logging.INFO), (("-vvv",), logging.DEBUG)]
)
def test_verbosity(configured, options, level):
    configured(*options)

    assert logging.getLogger("pds_bids").level == level


@pytest.mark.parametrize("option", ["-h", "--help", "--version"])
@pytest.mark.parametrize("module", ["main", "model"])
def test_help_and_version_load_nothing_heavy(module, option):
    script = f"""
import sys
from pds_bids.cli.{module} import main
try:
    main([{option!r}])
finally:
    print(sorted({{"numpy", "torch", "ants", "nibabel", "nilearn", "bids", "matplotlib"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_dry_run_loads_no_images_and_no_networks(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    (tmp_path / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz").touch()
    script = f"""
import sys
from pds_bids.cli.main import main
try:
    main([{str(tmp_path)!r}, {str(tmp_path / "derivatives")!r}, "participant", "--dry-run"])
finally:
    print(sorted({{"torch", "ants", "nilearn", "bids", "pandas", "scipy", "matplotlib"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "1 of 1 to synthesise" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_package_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "pds_bids", "--version"], capture_output=True, text=True, check=True
    )

    assert ended.stdout.startswith("pds-bids ")


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    (tmp_path / "sub-01" / "func" / os.fsdecode(b"sub-01_task-r\xff_bold.nii.gz")).touch()
    call = [sys.executable, "-m", "pds_bids", str(tmp_path), str(tmp_path / "derivatives"), "participant"]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    ended = subprocess.run([*call, "--dry-run"], env=strict, capture_output=True, check=False)
    assert (ended.returncode, b"task-r\\udcff_bold" in ended.stdout) == (0, True)
