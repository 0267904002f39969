"""`pds-bids-docker`: `pds-bids` in its container, with the folders it needs and nothing else."""

from __future__ import annotations

import copy
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from pds_bids import __version__
from pds_bids.cli.entry import exit_with
from pds_bids.cli.lists import BidsAppCommand
from pds_bids.cli.main import command as pds_bids
from pds_bids.core.errors import UsageError

ENGINES = ("docker", "podman")
GPUS = {"docker": ["--gpus", "all"], "podman": ["--device", "nvidia.com/gpu=all"]}
"""How each engine is told to hand its GPUs on; podman's way is the Container Device Interface."""

FILES = (".safetensors", ".json")
"""How the values end that name a file where another thing may stand: a checkpoint, a scheduler file."""

WRITABLE = ("output_dir", "work_dir", "database_dir")
"""Parameters of pds-bids that name folders which a run writes to."""


class Said(NamedTuple):
    """A value of an option of pds-bids: as it is handed on, and the file or folder that it names."""

    text: str
    path: Path | None = None


class AsSaid(click.ParamType[Said]):
    """A value that pds-bids will judge; where it names a file or a folder, by an absolute path.

    >>> AsSaid(click.STRING).convert("rest", None, None).text
    'rest'
    >>> AsSaid(click.Path()).convert("/data/../out", None, None).text
    '/out'
    """

    def __init__(self, judge: click.ParamType[Any]) -> None:
        self.name = judge.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Said:
        """The text and the path; unlike a checkpoint, a bundled model is none, nor is an address."""
        text = str(value)
        is_path = self.name in ("path", "file", "directory", "name=path") or text.endswith(FILES)
        if not (is_path and text):
            return Said(text)
        name, equals, place = text.rpartition("=") if self.name == "name=path" else ("", "", text)
        path = Path(place).resolve()
        return Said(f"{name}{equals}{path}", path)


def run(engine: str | None, image: str, gpu: bool, print_command: bool, **said: Any) -> None:
    """Replace this process by the container, whose exit code is that of `pds-bids`.

    Raises
    ------
    UsageError
        If there is no engine.
    """
    engine = engine or _installed_engine()
    writable = {said[name].path for name in WRITABLE if said.get(name)}
    bids_dir = said["bids_dir"].path
    for folder in writable:
        if not (print_command or said["dry_run"]) and _may_hold_output(bids_dir, folder):
            folder.mkdir(parents=True, exist_ok=True)
    wants_gpu = gpu or (said["device"] and said["device"].text.startswith("cuda"))
    words = [
        *(engine, "run", "--rm", *_terminal(), *_confinement(engine)),
        *("--network", "host" if said.get("scheduler") else "none"),
        *(GPUS[engine] if wants_gpu else []),
        *_mounts({one.path for value in said.values() for one in _each(value)}, writable, print_command),
        *(image, *pds_bids_arguments(said)),
    ]
    if print_command:
        click.echo(shlex.join(words))
        return
    try:
        os.execvp(engine, words)
    except FileNotFoundError as error:
        raise UsageError(
            f"--engine {engine}: is not on the PATH; install it, or choose another one"
        ) from error


def pds_bids_arguments(said: Mapping[str, Any]) -> list[str]:
    """The command line of pds-bids: the folders and the level, then every option that was given."""
    arguments: list[str] = []
    for param in sorted(pds_bids.params, key=lambda param: isinstance(param, click.Option)):
        value = said.get(param.name or "")
        values = [one.text for one in _each(value)]
        if not isinstance(param, click.Option):
            arguments += values
        elif value and not param.is_flag:
            arguments += [_name(param)] * (value if param.count else 1) + values
        elif value is True or str(param.flag_value) in values:  # several flags may set one parameter
            arguments.append(_name(param))
        elif value is False and param.secondary_opts:
            arguments.append(max(param.secondary_opts, key=len))
    return arguments


def _name(option: click.Option) -> str:
    return max(option.opts, key=len)


def _each(value: Any) -> Iterator[Said]:
    """The values of a parameter: one, those of a list, or none of a flag."""
    if isinstance(value, Said):
        yield value
    elif isinstance(value, tuple):
        yield from value


def _may_hold_output(bids_dir: Path, folder: Path) -> bool:
    """Whether to make a folder for the output; elsewhere in the dataset pds-bids refuses it, and says so."""
    return not folder.is_relative_to(bids_dir) or folder.is_relative_to(bids_dir / "derivatives")


def _mounts(paths: Iterable[Path | None], writable: set[Path], to_be_made: bool) -> list[str]:
    """Each path at its own place, so that messages, sidecars and logs name what the user knows.

    What is not there is left out, for an engine would make it: pds-bids says itself what it misses. Outer
    folders come first: derivatives may lie inside the dataset, which is mounted read-only.
    """
    there = [path for path in paths if path and (path.exists() or (to_be_made and path in writable))]
    options: list[str] = []
    for path in sorted(there):
        access = "" if path in writable else ",readonly"
        options += ["--mount", f"type=bind,source={path},target={path}{access}"]
    return options


def _confinement(engine: str) -> list[str]:
    """No privileges, nothing to write but /tmp and what is mounted so; files are the user's."""
    own_user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    if engine == "podman" and os.getuid() != 0:  # without root, podman would map the user to another one
        own_user += ["--userns", "keep-id"]
    closed = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    return [*own_user, *closed, "--tmpfs", "/tmp:rw,mode=1777"]


def _terminal() -> list[str]:
    return ["--interactive", "--tty"] if os.isatty(0) and os.isatty(1) else []


def _installed_engine() -> str:
    for engine in ENGINES:
        if shutil.which(engine):
            return engine
    raise UsageError(f"none of {', '.join(ENGINES)} is on the PATH; install one")


def _unjudged(param: click.Parameter) -> click.Parameter:
    """A parameter of pds-bids that takes every value and does nothing by itself, but for `--version`."""
    unjudged = copy.copy(param)
    if isinstance(unjudged, click.Option):
        unjudged.hidden = True
    if param.name == "version":
        return unjudged
    unjudged.callback = unjudged.default = None
    unjudged.is_eager, unjudged.expose_value = False, True
    if not (isinstance(param, click.Option) and (param.is_bool_flag or param.count)):
        unjudged.type = AsSaid(param.type)
    return unjudged


command = BidsAppCommand(
    "pds-bids-docker",
    callback=run,
    params=[
        *map(_unjudged, pds_bids.params),
        click.Option(["--engine"], type=click.Choice(ENGINES), help="[default: the first one installed]"),
        click.Option(["--image"], default=f"pds-bids:{__version__}", metavar="NAME", help="Image to run."),
        click.Option(["--gpu"], is_flag=True, help="Hand the GPUs on.  [default: where --device names one]"),
        click.Option(
            ["--print-command"],
            is_flag=True,
            help="Print the command that would run the container, and stop.",
        ),
    ],
    help="""Run pds-bids in its container: BIDS_DIR read-only, no network, files that belong to you.

    Every option of pds-bids is understood, too; `pds-bids --help` lists them.""",
    context_settings=pds_bids.context_settings,
)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-bids-docker`."""
    exit_with(command, "pds-bids-docker", args)
