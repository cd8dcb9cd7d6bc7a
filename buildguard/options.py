"""The options that commands share, and how `commit` leaves git's alone."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def common(command: F) -> F:
    """The options of every command that coordinates."""
    for option in (
        click.option("--json", is_flag=True, help="Answer with one JSON object on stdout."),
        click.option("--scope", type=click.Choice(["checkout", "repo"]), help="Where the breakage lives."),
        click.option("--db", metavar="PATH", help="The database [.git/buildguard/state.db]."),
        click.option("--agent", metavar="ID", help="Who you are [session, CI job or process]."),
        click.option("--build", metavar="NAME", help="Which check this is about [default]."),
    ):
        command = option(command)
    return command


def terms(command: F) -> F:
    """The options that set the terms of a claim."""
    for option in (
        click.option("--max-claim", metavar="SPAN", help="How long a claim can be held at most [60m]."),
        click.option("--stale-after", metavar="SPAN", help="How long a fixer may be silent [15m]."),
    ):
        command = option(command)
    return command


def checking(command: F) -> F:
    """The options of the commands that run the check."""
    for option in (
        click.option("--keep-git-env", is_flag=True, help="Let the check see git's hook variables."),
        click.option("--junit", metavar="FILE", help="A JUnit XML report that the check writes."),
        click.option("--fix", metavar="COMMAND", help="Run this after a won claim, then check again."),
        click.option("--check-timeout", metavar="SPAN", help="End the check after this; it proves nothing then."),
    ):
        command = option(command)
    return terms(common(command))


class Untouched(click.Command):
    """Parses only its own leading options: everything from the first foreign word on belongs to git."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep git's words as the context's object, and parse our own."""
        own = {name: option for option in self.params for name in option.opts if isinstance(option, click.Option)}
        at = 0
        while at < len(args) and args[at].partition("=")[0] in own | {"-h": None, "--help": None}:
            option = own.get(args[at].partition("=")[0])
            takes = isinstance(option, click.Option) and not option.is_flag and "=" not in args[at]
            at += 2 if takes else 1
        ctx.obj = tuple(args[at + 1 :] if args[at : at + 1] == ["--"] else args[at:])
        return super().parse_args(ctx, args[:at])
