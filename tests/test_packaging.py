"""What is built is whole, and works where nothing of the sources is."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pds_bids"
BUILT_FROM = ("LICENSE", "MANIFEST.in", "README.rst", "THIRD_PARTY.rst", "pyproject.toml", "setup.cfg")

pytestmark = pytest.mark.slow


def run(*command: object, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    return subprocess.run(
        [str(word) for word in command],
        env=environment,
        cwd="/",
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source distribution, and the wheel that is built from that."""
    folder = tmp_path_factory.mktemp("built")
    sources = folder / "sources"
    shutil.copytree(PACKAGE, sources / "pds_bids", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, sources)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, sources)
    return folder


@pytest.fixture(scope="module")
def version() -> str:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser["metadata"]["version"]


def tree() -> set[str]:
    """Every file of the package."""
    paths = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_both_distributions_hold_the_whole_package_with_its_weights(built: Path, version: str) -> None:
    with zipfile.ZipFile(built / f"pds_bids-{version}-py3-none-any.whl") as wheel:
        assert {name for name in wheel.namelist() if name.startswith("pds_bids/")} == tree()
    top = f"pds_bids-{version}"
    with tarfile.open(built / f"{top}.tar.gz") as source:
        held = {name.removeprefix(f"{top}/") for name in source.getnames()}
    assert tree() | set(BUILT_FROM) <= held
    assert "tests" not in held
    assert "pds_bids/weights/base.safetensors" in held


def test_the_wheel_works_in_an_environment_of_its_own(built: Path, version: str) -> None:
    """Its requirements are borrowed from this environment: what they are is checked, not downloaded."""
    run(sys.executable, "-m", "venv", "--without-pip", built / "venv")
    python = built / "venv" / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
    borrowed = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    (own / "borrowed.pth").write_text(borrowed)

    assert run(python.with_name("pds-bids"), "--version") == f"pds-bids {version}\n"
    assert run(python.with_name("pds-model"), "info").startswith("Model card: base\n")
    assert str(own) in run(python, "-c", "import pds_bids; print(pds_bids.__file__)")
    assert run(sys.executable, "-m", "pip", "--python", python, "check") == "No broken requirements found.\n"
