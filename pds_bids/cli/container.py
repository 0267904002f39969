"""`pds-bids-docker`: `pds-bids` in its container, with the folders it needs and nothing else."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from pds_bids import __version__
from pds_bids.cli.entry import exit_with
from pds_bids.cli.main import command as pds_bids
from pds_bids.cli.main import default_work_dir, require_input_untouched
from pds_bids.cli.options import BidsAppCommand
from pds_bids.core.errors import UsageError

ENGINES = ("docker", "podman")
GPUS = {"docker": ["--gpus", "all"], "podman": ["--device", "nvidia.com/gpu=all"]}
"""How each engine is told to hand its GPUs on; podman's way is the Container Device Interface."""


def run(engine: str | None, image: str, gpu: bool, print_command: bool, **options: Any) -> None:
    """Replace this process by the container, whose exit code is that of `pds-bids`.

    Raises
    ------
    UsageError
        If there is no engine, or a folder stands where the run could change the input.
    """
    bids_dir, output_dir, work_dir = (options[name] for name in ("bids_dir", "output_dir", "work_dir"))
    require_input_untouched(bids_dir, output_dir, work_dir or default_work_dir(output_dir))
    writable = [folder for folder in (output_dir, work_dir) if folder]
    if not (print_command or options["dry_run"]):
        for folder in writable:
            folder.mkdir(parents=True, exist_ok=True)
    engine = engine or _installed_engine()
    words = [
        *(engine, "run", "--rm", *_terminal(), *_confinement(engine)),
        *(GPUS[engine] if gpu or options["device"].startswith("cuda") else []),
        *_mounts([*_paths(map(_located, options.values())), *writable], writable),
        *(image, *pds_bids_arguments(click.get_current_context())),
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


def pds_bids_arguments(ctx: click.Context) -> list[str]:
    """What was said to `pds-bids` on this command line: absolute paths, and every option after the folders.

    Options that were not given are left out: the container has its own defaults, for one of threads.
    """
    arguments: list[str] = []
    for param in sorted(pds_bids.params, key=lambda param: isinstance(param, click.Option)):
        given = (
            param.name in ctx.params and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
        )
        if given and param.name:
            arguments += _words(param, _located(ctx.params[param.name]))
    return arguments


def _words(param: click.Parameter, value: Any) -> Iterator[str]:
    if not isinstance(param, click.Option):
        yield str(value)
        return
    name = max(param.opts, key=len)
    if param.count:
        yield from [name] * value
    elif param.is_flag:
        yield name
    else:
        yield name
        yield from map(str, value if isinstance(value, tuple) else [value])


def _located(value: Any) -> Any:
    """The value; a checkpoint, which unlike a bundled model is a file, as an absolute path."""
    is_checkpoint = isinstance(value, str) and value.endswith(".safetensors")
    return Path(value).resolve() if is_checkpoint else value


def _paths(values: Iterable[Any]) -> Iterator[Path]:
    """Every file or folder among the values that is there: of one that is not, pds-bids itself complains."""
    for value in values:
        if isinstance(value, tuple):
            yield from _paths(value)
        elif isinstance(value, Path) and value.exists():
            yield value


def _mounts(paths: Iterable[Path], writable: Sequence[Path]) -> list[str]:
    """Each path at its own place, so that messages, sidecars and logs name what the user knows.

    Outer folders come first: derivatives may lie inside the dataset, which is mounted read-only.
    """
    options: list[str] = []
    for path in sorted(set(paths)):
        access = "" if path in writable else ",readonly"
        options += ["--mount", f"type=bind,source={path},target={path}{access}"]
    return options


def _confinement(engine: str) -> list[str]:
    """No network, no privileges, nothing to write but /tmp and what is mounted so; files are the user's."""
    own_user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    if engine == "podman" and os.getuid() != 0:  # without root, podman would map the user to another one
        own_user += ["--userns", "keep-id"]
    closed = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    return [*own_user, *closed, "--tmpfs", "/tmp:rw,mode=1777"]


def _terminal() -> list[str]:
    return ["--interactive", "--tty"] if os.isatty(0) and os.isatty(1) else []


def _installed_engine() -> str:
    for engine in ENGINES:
        if shutil.which(engine):
            return engine
    raise UsageError(f"none of {', '.join(ENGINES)} is on the PATH; install one")


command = BidsAppCommand(
    "pds-bids-docker",
    callback=run,
    params=[
        *pds_bids.params,
        click.Option(["--engine"], type=click.Choice(ENGINES), help="[default: the first one installed]"),
        click.Option(["--image"], default=f"pds-bids:{__version__}", metavar="NAME", help="Image to run."),
        click.Option(["--gpu"], is_flag=True, help="Hand the GPUs on.  [default: where --device names one]"),
        click.Option(
            ["--print-command"],
            is_flag=True,
            help="Print the command that would run the container, and stop.",
        ),
    ],
    help="Run pds-bids in its container: BIDS_DIR read-only, no network, files that belong to you.",
    context_settings=pds_bids.context_settings,
)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `pds-bids-docker`."""
    exit_with(command, "pds-bids-docker", args)
