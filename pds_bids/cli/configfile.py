"""`--config-file`: the settings of an earlier run, as its `pds-bids.toml` has them, become the defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pds_bids.cli.lists import SpaceSeparated

ARGUMENTS = frozenset({"bids_dir", "output_dir", "command"})
"""In the file for the record; the command line always says them."""

Defaults = dict[str, str | list[str] | dict[str, Any]]


def read_defaults(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Callback of the option: what the command line leaves out is taken from the file.

    Values are texts here and are converted and checked as if they had been typed.
    """
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{path}: cannot be read ({error.strerror}); name a TOML file") from error
    except ValueError as error:
        raise click.BadParameter(f"{path}: is not TOML ({error}); repair the file") from error
    try:
        ctx.default_map = _defaults(content, {option.name: option for option in ctx.command.params})
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}") from error


def _defaults(content: Mapping[str, Any], options: Mapping[str | None, click.Parameter]) -> Defaults:
    """One value for each parameter, whichever section it stands in.

    Raises
    ------
    ValueError
        If a name is unknown, a value has the wrong shape, or two sections contradict each other.
    """
    defaults: Defaults = {}
    for place, value in _named(content):
        name = place.rpartition(".")[2]
        if name in ARGUMENTS:
            continue
        option = options.get(name)
        if option is None:
            raise ValueError(f"{place} is no setting; remove it")
        text = _text(place, value, option)
        if defaults.setdefault(name, text) != text:
            raise ValueError(f"{place} differs from the {name} of another section; make them equal")
    return defaults


def _named(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """`section.name` and value, or `name` alone above the sections."""
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        found += [(f"{name}.{key}", item) for key, item in inner] or [(name, value)]
    return found


def _text(place: str, value: Any, option: click.Parameter) -> str | list[str] | dict[str, Any]:
    """The value as the command line would have it; a table for options that read one.

    Raises
    ------
    ValueError
        If it is no list where the option takes one.
    """
    if isinstance(option, SpaceSeparated):
        if isinstance(value, Mapping):
            return [f"{name}={item}" for name, item in value.items()]
        if not isinstance(value, list):
            raise ValueError(f"{place} must be a list")
        return [str(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
