"""`pds-bids-docker`: pds-bids is told what the user said, and the container sees no more than it must."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pds_bids.cli import container

IMAGE = "pds-bids:test"
WRAPPER = [sys.executable, "-c", "from pds_bids.cli.container import main; main()"]
BASE_IMAGES = ("docker.io/library/debian:bookworm-slim", "docker.io/library/busybox:latest")


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def printed(capsys):
    """Arguments -> the words of the command that would run the container."""

    def words(*args: object) -> list[str]:
        with pytest.raises(SystemExit) as ended:
            container.main([*map(str, args), "--image", IMAGE, "--print-command"])
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return shlex.split(out)

    return words


def mounts(words: list[str]) -> dict[Path, bool]:
    """Place of each mount, the same on both sides, and whether it may be written."""
    places = {}
    for spec in (value for name, value in pairwise(words) if name == "--mount"):
        kind, source, target, *access = spec.split(",")
        assert kind == "type=bind"
        assert source.removeprefix("source=") == target.removeprefix("target=")
        places[Path(source.removeprefix("source="))] = access != ["readonly"]
    return places


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--participant-label", "sub-01", "02", "--session-id", "a", "-vv", "--sloppy", "--random-seed", "7"],
        ["--output-spaces", "model", "native", "--evaluate", "--target=dwi", "--nprocs", "2", "-w", "work"],
        ["--skip-bids-validation", "--device", "cuda:1", "--overwrite", "-t", "task-rest"],
    ],
)
def test_pds_bids_is_told_what_the_user_said(
    printed, pds_bids_command, workflows, folders, options, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    pds_bids_command(*folders, "participant", *options)
    words = printed(*folders, "participant", *options)
    monkeypatch.chdir("/")  # where a container starts

    pds_bids_command(*words[words.index(IMAGE) + 1 :])

    (as_said,), (as_told,) = workflows.participant.run.calls
    assert as_told == as_said


def test_the_input_is_read_only_and_nothing_else_is_seen(printed, folders, tmp_path):
    checkpoint = tmp_path / "mine.safetensors"
    checkpoint.touch()

    words = printed(*folders, "participant", "-w", tmp_path / "work", "--model", checkpoint)

    assert mounts(words) == {folders[0]: False, folders[1]: True, tmp_path / "work": True, checkpoint: False}
    assert {"--read-only", "--network", "none", "--cap-drop", "ALL", "--rm"} <= set(words)
    assert words[words.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"


def test_the_network_is_for_the_scheduler_alone(printed, folders, tmp_path):
    file = tmp_path / "scheduler.json"
    file.touch()

    by_file = printed(*folders, "participant", "--scheduler", file)
    by_address = printed(*folders, "participant", "--scheduler", "tcp://10.0.0.1:8786")

    assert mounts(by_file)[file] is False
    assert set(mounts(by_address)) == {folders[0], folders[1]}
    assert all(words[words.index("--network") + 1] == "host" for words in (by_file, by_address))


def test_derivatives_inside_the_dataset_are_mounted_after_it(printed, folders):
    out = folders[0] / "derivatives" / "pds-bids"

    places = mounts(printed(folders[0], out, "participant"))

    assert list(places.items()) == [(folders[0], False), (out, True)]


def test_what_is_not_there_is_left_to_pds_bids_to_complain_of(printed, folders, tmp_path):
    assert mounts(printed(tmp_path / "typo", folders[1], "participant")) == {folders[1]: True}
    assert not folders[1].exists()


@pytest.mark.parametrize("options", [["--gpu"], ["--device", "cuda:0"]])
@pytest.mark.parametrize("engine", container.ENGINES)
def test_gpus_are_handed_on_where_they_are_asked_for(printed, folders, engine, options):
    asked = printed(*folders, "participant", "--engine", engine, *options)
    silent = printed(*folders, "participant", "--engine", engine)

    assert set(container.GPUS[engine]) <= set(asked)
    assert not set(container.GPUS[engine]) & set(silent)


def fake_engine(folder: Path, code: int) -> dict[str, str]:
    """An environment whose only engine ends with `code`."""
    engine = folder / "podman"
    engine.write_text(f"#!/bin/sh\nexit {code}\n")
    engine.chmod(0o755)
    return os.environ | {"PATH": f"{folder}"}


def test_the_exit_code_is_that_of_pds_bids(folders, tmp_path):
    ended = subprocess.run(
        [*WRAPPER, *folders, "participant"], env=fake_engine(tmp_path, code=66), check=False
    )

    assert ended.returncode == 66
    assert folders[1].is_dir()


@pytest.mark.parametrize(
    ("out", "options"), [("out", ["--dry-run"]), ("in/elsewhere", [])], ids=["dry run", "inside the dataset"]
)
def test_no_folder_is_made_where_nothing_may_be_written(folders, tmp_path, out, options):
    command = [*WRAPPER, folders[0], tmp_path / out, "participant", *options]

    ended = subprocess.run(command, env=fake_engine(tmp_path, code=2), check=False)

    assert ended.returncode == 2
    assert not (tmp_path / out).exists()


def test_without_an_engine_it_says_what_to_install(folders, tmp_path):
    (tmp_path / "empty").mkdir()

    ended = subprocess.run(
        [*WRAPPER, *folders, "participant"],
        env=os.environ | {"PATH": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "docker, podman" in ended.stderr


@pytest.fixture
def podman_image(tmp_path):
    """An image whose entry point tells who runs it, and what it may write."""
    if not shutil.which("podman"):
        pytest.skip("needs podman, absent here")
    stored = [
        b
        for b in BASE_IMAGES
        if subprocess.run(["podman", "image", "exists", b], check=False).returncode == 0
    ]
    if not stored:
        pytest.skip(f"nothing is downloaded: podman's store needs {' or '.join(BASE_IMAGES)}")
    (tmp_path / "image").mkdir()
    probe = tmp_path / "image" / "probe"
    probe.write_text(
        '#!/bin/sh\nid -u >"$2/uid"\nls /sys/class/net >"$2/net"\n! touch "$1/x" /x && exit 75\n'
    )
    probe.chmod(0o755)
    (tmp_path / "image" / "Dockerfile").write_text(f'FROM {stored[0]}\nCOPY probe /\nENTRYPOINT ["/probe"]\n')
    name = "localhost/pds-bids-probe"
    for attempt in (
        ["build", "-q", "-t", name, tmp_path / "image"],
        ["run", "--rm", "--network", "none", "--entrypoint", "/bin/true", name],
    ):
        ended = subprocess.run(["podman", *attempt], capture_output=True, text=True, check=False)
        if ended.returncode:
            pytest.skip(f"podman {attempt[0]} does not work here: {ended.stderr}")
    yield name
    subprocess.run(["podman", "rmi", "-f", name], capture_output=True, check=True)


@pytest.fixture
def podman_api(tmp_path):
    """An environment in which Docker's own client talks to podman."""
    if not shutil.which("docker"):
        pytest.skip("needs docker's client, absent here")
    socket = tmp_path / "podman.sock"
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
    deadline = time.monotonic() + 30
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield os.environ | {"DOCKER_HOST": f"unix://{socket}"}
    service.terminate()
    service.wait()


@pytest.mark.parametrize("engine", container.ENGINES)
def test_it_runs_confined(podman_image, folders, engine, request):
    environment = request.getfixturevalue("podman_api") if engine == "docker" else os.environ

    ended = subprocess.run(
        [*WRAPPER, *folders, "participant", "--image", podman_image, "--engine", engine],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    if (
        engine == "podman"
    ):  # to docker's client, podman 4.3 says 0 of every container that is removed at its end
        assert ended.returncode == 75, ended.stderr
    assert (folders[1] / "uid").read_text().strip() == str(os.getuid())
    assert (folders[1] / "net").read_text().split() == ["lo"]
    assert not list(folders[0].iterdir())
