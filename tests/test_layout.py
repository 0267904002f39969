"""The house as built: who may import whom, what an installation holds, and what it needs."""

from __future__ import annotations

import ast
import configparser
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pds_bids"
MODULES = sorted(PACKAGE.rglob("*.py"))

DISTRIBUTIONS = {"PIL": "pillow", "ants": "antspyx", "bids": "pybids", "sklearn": "scikit-learn"}
"""Where a distribution is not called what its module is called."""


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def imported_names(module: Path) -> set[str]:
    """Top-level names of what a module imports from outside, anywhere in it."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    qualified = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | qualified} - sys.stdlib_module_names - {"pds_bids"}


def test_the_import_contracts_hold():
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])",
    ]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_imported_is_declared(module, setup_cfg):
    required, optional = setup_cfg["options"]["install_requires"], setup_cfg["options.extras_require"]["hpc"]
    declared = set(re.findall(r"^[\w-]+", required + optional, re.MULTILINE))

    needed = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in imported_names(module)}

    assert needed <= declared


def test_an_installation_has_every_module_and_nothing_else_at_the_top(setup_cfg):
    include = setup_cfg["options.packages.find"]["include"].split()

    packages = find_packages(ROOT, include=include)

    assert {name.partition(".")[0] for name in packages} == {"pds_bids"}
    assert {path.parent for path in MODULES} == {ROOT.joinpath(*name.split(".")) for name in packages}


def test_an_installation_has_every_data_file(setup_cfg):
    patterns = setup_cfg["options.package_data"]["pds_bids"].split()

    installed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}

    code = {path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyc"} or path.is_dir()}
    assert set(PACKAGE.rglob("*")) - code == installed
    assert all(any(PACKAGE.glob(pattern)) for pattern in patterns)


def test_the_demonstration_and_test_commands_are_in_the_readme():
    readme = (ROOT / "README.rst").read_text()

    for name in ("demo-command", "test-command"):
        (command,) = re.findall(rf":name: {name}\n\n +(.+)\n", readme)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_before_a_commit_the_same_is_checked_as_in_continuous_integration():
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    (checks,) = re.findall(r"for check in (.+); do", (ROOT / ".ci" / "run").read_text())

    assert [hook.removesuffix(" --force-exclude") for hook in hooks] == [
        check.removesuffix(" --check") for check in re.findall('"(.+?)"', checks)
    ]


def test_the_image_is_checked_against_these_weights():
    stated = dict(reversed(line.split()) for line in (ROOT / "baked.sha256").read_text().splitlines())

    for path in (PACKAGE / "weights").glob("*.safetensors"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert stated.get(path.relative_to(ROOT).as_posix()) == digest, (
            "new weights? state theirs in baked.sha256"
        )
