"""What the commands of all groups share: the group itself, options, and the session that they open."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from buildguard.agents.calling import calling_git
from buildguard.agents.identity import time_left
from buildguard.cli.helping import Grouped
from buildguard.errors import SettingsError
from buildguard.git.commandline import through
from buildguard.session import Session, here, open_session
from buildguard.settings import Settings
from buildguard.text import command
from buildguard.ui.reports import Report

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
LEAST_WAIT = 5.0
"""Seconds: an agent that is sent away at once only asks again at once."""
FIRST_WORD_ENDS = {"allow_interspersed_args": False}
"""The first word that is no option begins the check: what follows is the check's."""

F = TypeVar("F", bound=Callable[..., Any])


def common(function: F) -> F:
    """The options of every command that coordinates."""
    scope = click.option("--scope", type=click.Choice(["checkout", "repo"]), help="Where the breakage lives.")
    return scope(whole(function))


def whole(function: F) -> F:
    """The options of every command that is about a build, whatever the scope."""
    for option in (
        click.option("--json", is_flag=True, help="Answer with one JSON object on stdout."),
        click.option("--db", metavar="PATH", help="The database [.git/buildguard/state.db]."),
        click.option("--agent", metavar="ID", help="Who you are [session, CI job or process]."),
        click.option("--build", metavar="NAME", help="Which check this is about [default]."),
    ):
        function = option(function)
    return function


def terms(function: F) -> F:
    """The options that set the terms of a claim."""
    for option in (
        click.option("--max-claim", metavar="SPAN", help="How long a claim can be held at most [60m]."),
        click.option("--stale-after", metavar="SPAN", help="How long a fixer may be silent [15m]."),
    ):
        function = option(function)
    return function


def checking(function: F) -> F:
    """The options of the commands that run the check."""
    for option in (
        click.option("--junit", metavar="FILE", help="A JUnit XML report that the check writes."),
        click.option("--fix", metavar="COMMAND", help="Run this after a won claim, then check again."),
        click.option("--check-timeout", metavar="SPAN", help="End the check after this; it proves nothing then."),
    ):
        function = option(function)
    return terms(common(function))


class Untouched(click.Command):
    """Parses only its own leading options: everything from the first foreign word on belongs to git."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep as the context's object our own words and git's, and parse our own."""
        own = {name: option for option in self.params for name in option.opts if isinstance(option, click.Option)}
        at = 0
        while at < len(args) and args[at].partition("=")[0] in own | {"-h": None, "--help": None}:
            option = own.get(args[at].partition("=")[0])
            takes = isinstance(option, click.Option) and not option.is_flag and "=" not in args[at]
            at += 2 if takes else 1
        for word in _before(args[at:]):
            if (option := own.get(word.partition("=")[0])) is not None:
                here = args.index(word, at)
                end = here + (1 if option.is_flag or "=" in word else 2)
                again = [*ctx.command_path.split(), *args[:at], *args[here:end], *args[at:here], *args[end:]]
                line = f"{word} is not git's: it stands before git's own arguments"
                raise SettingsError(line, command(again) or f"{ctx.command_path} --help")
        ctx.obj = (tuple(args[:at]), tuple(args[at + 1 :] if args[at : at + 1] == ["--"] else args[at:]))
        return super().parse_args(ctx, args[:at])


def _before(args: Sequence[str]) -> list[str]:
    """Git's words before `--`, but for the text that one of its options takes."""
    words = args[: args.index("--")] if "--" in args else args
    return [word for before, word in pairwise(["", *words]) if not re.fullmatch(r"-\w*[mFCct]|--\w[\w-]*", before)]


@click.group(cls=Grouped, context_settings=_CONTEXT)
@click.version_option(None, "-V", "--version", package_name="git-buildguard", prog_name="buildguard")
def cli() -> None:
    """When the build breaks, exactly one agent fixes it and everybody else waits."""


def opened(options: dict[str, Any]) -> Session:
    """The session of a command with these options. Raises `SettingsError`."""
    session = open_session(
        {name: value for name, value in options.items() if value is not None}, os.environ, here()
    )
    by_git = Path(sys.argv[0]).name == "git-buildguard" and calling_git()
    return session._replace(through=through(by_git.argv)) if by_git else session


def given(name: str, options: dict[str, Any]) -> list[str]:
    """An option as it was given, to be repeated."""
    value = options.get(name)
    return [] if value in (None, False) else [f"--{name}"] if value is True else [f"--{name}", str(value)]


def wait_at_most(session: Session, options: dict[str, Any]) -> float:
    """How long to wait outside git. Unless it was said here, the calling agent's shell must not end it; and a
    `wait` of 0 in the settings only keeps the hook from waiting."""
    if options.get("timeout") is not None:
        return session.settings.wait
    wait, left = session.settings.wait or Settings().wait, time_left(session.environment, 0.0)
    return wait if left is None else min(wait, max(LEAST_WAIT, left))


def end(session: Session, report: Report) -> NoReturn:
    """Say the report, and exit with its status."""
    session.voice.answer(report)
    sys.exit(report.exit)
