"""The BIDS Apps' space-separated lists, spelled the way click understands them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click


class SpaceSeparated(click.Option):
    """An option of one or more values: `--label 01 02` as well as `--label 01 --label 02`.

    Its parameter is a tuple without repetitions, in the order given. Needs a `BidsAppCommand`.
    """

    def __init__(self, names: Sequence[str], **attributes: Any) -> None:
        super().__init__(names, multiple=True, **attributes)

    def make_metavar(self, ctx: click.Context) -> str:
        """The value's name and dots, as usage lines write a list."""
        return f"{super().make_metavar(ctx)}..."

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[Any, ...]:
        """The converted values, each once."""
        return tuple(dict.fromkeys(super().type_cast_value(ctx, value)))


TYPED = "pds_bids.typed"
"""Under this name the context of a `BidsAppCommand` keeps the command line, for the record."""


class BidsAppCommand(click.Command):
    """A command whose `SpaceSeparated` options take every value up to the next option or `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `args` after spelling every list the way click understands it.

        Raises
        ------
        click.UsageError
            If an argument is missing or a value is wrong; says so where a list has swallowed the argument,
            or where an option follows the end of options.
        """
        lists = {name for param in self.params if isinstance(param, SpaceSeparated) for name in param.opts}
        before, after = _split(args)
        ctx.meta[TYPED] = shlex.join([str(ctx.info_name), *args])
        try:
            return super().parse_args(ctx, repeat_names(args, lists))
        except click.UsageError as error:
            if stray := next(filter(_is_option, after[1:]), None):
                raise click.UsageError(f"No option may follow `--`: move {stray} before it.", ctx) from error
            listed = any(arg.partition("=")[0] in lists for arg in before)
            if not (listed and isinstance(error, click.MissingParameter)):
                raise
            hint = "If a list option took it for one more value, end the list with `--`"
            raise click.MissingParameter(hint, ctx, error.param) from error


def repeat_names(args: list[str], lists: set[str]) -> list[str]:
    """Repeat a list option's name before each of its values, which is what click understands.

    Parameters
    ----------
    args
        Command line as typed.
    lists
        Names of the options that take lists.

    Raises
    ------
    click.BadOptionUsage
        If a list option has no value.

    Examples
    --------
    >>> repeat_names("IN OUT participant --label 01 02 -v".split(), {"--label"})
    ['IN', 'OUT', 'participant', '--label', '01', '--label', '02', '-v']
    >>> repeat_names("--label=01 02 -- IN OUT participant".split(), {"--label"})
    ['--label', '01', '--label', '02', '--', 'IN', 'OUT', 'participant']
    """
    before, after = _split(args)
    spelled: list[str] = []
    current = ""
    for arg, following in pairwise([*before, "--"]):
        name, has_value, value = arg.partition("=")
        if name in lists:
            current = name
            if has_value:
                spelled += [name, value]
            elif _is_option(following):
                raise click.BadOptionUsage(name, f"Option {name!r} needs at least one value.")
        elif _is_option(arg):
            current = ""
            spelled.append(arg)
        else:
            spelled += [current, arg] if current else [arg]
    return spelled + after


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and the rest from it on."""
    end = args.index("--") if "--" in args else len(args)
    return args[:end], args[end:]


def _is_option(arg: str) -> bool:
    return re.match(r"--?[A-Za-z]|--$", arg) is not None
