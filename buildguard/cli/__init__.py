"""The command line: parse, build the session, call, render, exit. Nothing else."""

from collections.abc import Sequence

import click

from buildguard.cli import committing, coordinating, explaining, for_agents, observing, preparing
from buildguard.cli.parsing import cli
from buildguard.errors import SettingsError

__all__ = ["cli", "parsed"]
_WANTS_MORE = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Newer ones have it."""
_GROUPS = (committing, coordinating, observing, preparing, for_agents, explaining)
"""Their import gives the commands to the group."""


def parsed(given: Sequence[str]) -> int:
    """Run the command line; its exit status. Raises `SettingsError` for what it does not understand."""
    try:
        return int(cli.main(list(given) or ["--help"], prog_name="buildguard", standalone_mode=False) or 0)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "buildguard"
        # Click shows a command's whole help where it wants a word more.
        message = (
            " ".join(error.format_message().split()) if not isinstance(error, _WANTS_MORE) else "a word is missing"
        )
        raise SettingsError(message, f"{path} --help") from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
