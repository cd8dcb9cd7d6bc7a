"""The command line: parse, build the session, call, render, exit. Nothing else."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from buildguard.agents.calling import calling_git
from buildguard.agents.identity import in_ci, time_left
from buildguard.claims.guard import Guard
from buildguard.commands.hook import commit_hook
from buildguard.errors import Exit, SettingsError
from buildguard.git.commandline import through
from buildguard.session import AIMING, FAULTS, Session, here, open_session, the_check
from buildguard.settings import Settings, off
from buildguard.ui.phrases import at_stake
from buildguard.ui.reports import Report
from buildguard.ui.voice import PREFIX, clean

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
LEAST_WAIT = 5.0
"""Seconds: an agent that is sent away at once only asks again at once."""
_FIRST_WORD_ENDS = {"allow_interspersed_args": False}
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
        ctx.obj = (tuple(args[:at]), tuple(args[at + 1 :] if args[at : at + 1] == ["--"] else args[at:]))
        return super().parse_args(ctx, args[:at])


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="git-buildguard", prog_name="buildguard")
def cli() -> None:
    """When the build breaks, exactly one agent fixes it and everybody else waits."""


@cli.command("run", context_settings=_FIRST_WORD_ENDS)
@checking
@click.option("--fresh", is_flag=True, help="Run the check, whoever runs it or has run it on these very files.")
@click.option("--wait", metavar="SPAN", help="If somebody else is fixing, wait at most this and check again [0].")
@click.option("--claim/--no-claim", default=None, help="Claim the fix on failure [yes, but no under CI].")
@click.argument("check", nargs=-1, type=click.UNPROCESSED)
def run_command(check: tuple[str, ...], claim: bool | None, **options: Any) -> None:
    """Run the CHECK; if it fails, claim the fix or say who has it."""
    from buildguard.commands import run

    session = _opened(options)
    command = the_check(session, check)
    again = session.again(sys.argv[1:])
    if off(session.environment):
        _end(session, run.bare_run(session, command, again))
    inner = run.nested(session, command, again)
    if inner is not None:
        _end(session, inner)
    wait = session.settings.wait if options.get("wait") is not None else 0.0
    later = None if wait > 0 else session.answers.with_option(again, "--wait", "5m")
    _end(session, run.run_check(session, command, again, wait, _claims(session, claim), later))


@cli.command("hook", context_settings=_FIRST_WORD_ENDS)
@checking
@click.option("--fresh", is_flag=True, help="Run the check, whoever runs it or has run it on these very files.")
@click.option("--wait", metavar="SPAN", help="How long the hook may wait where that harms nobody [5m].")
@click.argument("check", nargs=-1, type=click.UNPROCESSED)
def hook_command(check: tuple[str, ...], **options: Any) -> None:
    """What the git hook calls: run the CHECK for the commit in hand."""
    sys.exit(commit_hook(options, check))


@cli.command("commit", cls=Untouched, options_metavar="[OPTIONS] [--] GIT-COMMIT-ARGUMENTS")
@common
@click.option("--fresh", is_flag=True, help="Run the check, whoever runs it or has run it on these very files.")
@click.option("--timeout", metavar="SPAN", help="How long to wait for a fixer in all [5m].")
@click.pass_obj
def commit_command(words: tuple[tuple[str, ...], tuple[str, ...]], /, **options: Any) -> None:
    """Like git commit; while somebody else fixes the build, wait outside git and commit again."""
    from buildguard.commands import commit

    session = _opened(options)
    # The hook has to take us for the same agent, and to be about the same build.
    named = {f"BUILDGUARD_{name.upper()}": options[name] for name in AIMING if options.get(name)}
    if session.settings.db is not None:
        # The hook runs at the top.
        named["BUILDGUARD_DB"] = str(session.settings.db.absolute())
    session = session._replace(environment={**session.environment, **named})
    own = [word for name in ("timeout", "json", "fresh") for word in _given(name, options)]
    _end(session, commit.commit(session, words[1], _timeout(session, options), own))


@cli.command("cherry-pick")
@common
@click.option("--timeout", metavar="SPAN", help="How long to wait for other git commands here [5m].")
@click.argument("commits", metavar="COMMIT...", nargs=-1, required=True)
def cherry_pick_command(commits: tuple[str, ...], **options: Any) -> None:
    """Bring the fix in each COMMIT into this branch, whatever others have staged here."""
    from buildguard.commands import cherry_pick

    session = _opened(options)
    session.coordinate(Guard.alive)
    _end(session, cherry_pick.cherry_pick(session, commits, _timeout(session, options)))


@cli.command("claim")
@terms
@common
def claim_command(**options: Any) -> None:
    """Become the fixer, if nobody is."""
    from buildguard.commands import looking

    session = _opened(options)
    _end(session, looking.claim(session, session.again(sys.argv[1:])))


@cli.command("release")
@common
@click.option("--gave-up", is_flag=True, help="It is not fixed: leave it broken, claimable at once.")
@click.option("--reason", default="", metavar="TEXT", help="What the next one should know.")
@click.option("--claim", type=int, metavar="N", help="Only if this is still the claim's number.")
def release_command(gave_up: bool, reason: str, claim: int | None, **options: Any) -> None:
    """Hand the fixer role back: fixed, or given up."""
    from buildguard.commands import looking

    session = _opened(options)
    _end(session, looking.release(session, claim, gave_up, reason))


@cli.command("wait")
@common
@click.option("--timeout", metavar="SPAN", help="How long at most [5m].")
def wait_command(**options: Any) -> None:
    """Wait until no other live agent holds a claim here."""
    from buildguard.commands import looking

    session = _opened(options)
    _end(session, looking.wait(session, _timeout(session, options), session.again(sys.argv[1:])))


@cli.command("status")
@common
@click.option("--all", "everything", is_flag=True, help="Every scope, not only those that matter here.")
@click.option(
    "--exit-code",
    "gate",
    is_flag=True,
    help="A gate for clean checkouts and CI: 0 only if HEAD passed, 1 if red, 4 if not known.",
)
def status_command(everything: bool, gate: bool, **options: Any) -> None:
    """Say how it stands here, and whether HEAD was checked."""
    from buildguard.commands import looking

    session = _opened(options)
    report = looking.status(session, everything, gate)
    session.voice.panel(report)
    sys.exit(report.exit)


@cli.command("reset")
@common
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--claim", "evict", is_flag=True, help="End only the claim: the build stays broken.")
def reset_command(yes: bool, evict: bool, **options: Any) -> None:
    """Declare the build passing, whoever is fixing it; or end only the claim."""
    session = _opened(options)
    guard = session.required()
    if not yes and (session.voice.json or not sys.stdin.isatty()):
        again = session.answers.next("reset", "--yes", *(["--claim"] if evict else []))
        raise SettingsError("reset asks first, and nobody can answer here", again)
    if not yes:
        snapshot = guard.read()
        stake = at_stake(guard.status(snapshot).view, snapshot.now, session.checkout, session.settings.build)
        if not click.confirm(
            f"{PREFIX} {clean(stake)}; {'end the claim' if evict else 'reset it to passing'}?", err=True
        ):
            _end(session, Report("kept", Exit.FAILED, ("not reset",), session.answers.next("status")))
    _end(session, session.answers.reset(guard.reset(evict)))


@cli.command("log")
@whole
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many events.")
def log_command(limit: int, **options: Any) -> None:
    """Tell what happened, oldest first."""
    from buildguard.commands import looking

    session = _opened(options)
    _alive(session.required())
    events, now = looking.history(session, limit)
    session.voice.history(events, now)


@cli.command("install")
@click.option("--check", metavar="COMMAND", help="Write this check into the settings file.")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def install_command(**options: Any) -> None:
    """Put the hook where git runs it; a hook that is there is kept and runs first."""
    from buildguard.setup.install import put_in

    session = _opened(options)
    report = put_in(session, options["check"])
    if not session.voice.json:
        # For pasting: without our name before each line.
        click.echo(report.extra.get("block", ""), nl=False)
    _end(session, report)


@cli.command("uninstall")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def uninstall_command(**options: Any) -> None:
    """Take the hook out and put back what was there before it."""
    from buildguard.setup.install import take_out

    session = _opened(options)
    _end(session, take_out(session))


@cli.command("doctor")
@whole
def doctor_command(**options: Any) -> None:
    """Say what stands in the way here, and what mends it. Changes nothing."""
    from buildguard.setup.doctor import examine

    session = _opened(options)
    _end(session, examine(session))


@cli.command("demo")
def demo_command() -> None:
    """Watch two agents, one broken build, one fix: in a temporary repository, in seconds."""
    from buildguard.commands import demo

    sys.exit(demo.demo())


def parsed(given: Sequence[str]) -> int:
    """Run the command line; its exit status. Raises `SettingsError` for what it does not understand."""
    try:
        return int(cli.main(list(given) or ["--help"], prog_name="buildguard", standalone_mode=False) or 0)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "buildguard"
        raise SettingsError(error.format_message(), f"{path} --help") from error
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _opened(options: dict[str, Any]) -> Session:
    """The session of a command with these options. Raises `SettingsError`."""
    session = open_session(
        {name: value for name, value in options.items() if value is not None}, os.environ, here()
    )
    by_git = Path(sys.argv[0]).name == "git-buildguard" and calling_git()
    return session._replace(through=through(by_git.argv)) if by_git else session


def _given(name: str, options: dict[str, Any]) -> list[str]:
    """An option as it was given, to be repeated."""
    value = options.get(name)
    return [] if value in (None, False) else [f"--{name}"] if value is True else [f"--{name}", str(value)]


def _claims(session: Session, asked: bool | None) -> bool:
    """Whether a failure claims: a red CI job must not leave a dead fixer behind, unless it is to fix."""
    if asked is not None:
        return asked
    return session.settings.fix is not None or not in_ci(session.environment)


def _timeout(session: Session, options: dict[str, Any]) -> float:
    """How long to wait outside git. Unless it was said here, the calling agent's shell must not end it; and a
    `wait` of 0 in the settings only keeps the hook from waiting."""
    if options.get("timeout") is not None:
        return session.settings.wait
    wait, left = session.settings.wait or Settings().wait, time_left(session.environment, 0.0)
    return wait if left is None else min(wait, max(LEAST_WAIT, left))


def _alive(guard: Guard) -> None:
    """A sign of life, where that can be written; what is read only needs no more."""
    with suppress(*FAULTS):
        guard.alive()


def _end(session: Session, report: Report) -> NoReturn:
    session.voice.answer(report)
    sys.exit(report.exit)
