"""From a command to its exit code: a user's error is one line, never a traceback."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from pds_bids.core.errors import PdsError

INTERRUPTED = 130
"""128 + SIGINT, what a shell reports for Ctrl-C."""


def exit_with(command: click.Command, program: str, args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code.

    Parameters
    ----------
    command
        Returns its exit code, or None for success.
    program
        Name in usage and error lines.
    args
        Command line; None reads that of the process.
    """
    sys.exit(_exit_code(command, program, args))


def _exit_code(command: click.Command, program: str, args: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may hold what the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return command.main(args, prog_name=program, standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PdsError as error:
        click.echo(f"{program}: error: {error}", err=True)
        return error.exit_code
    except click.Abort:
        click.echo(f"{program}: interrupted; run the same command again to resume", err=True)
        return INTERRUPTED
