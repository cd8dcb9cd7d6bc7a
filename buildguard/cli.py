"""The command line: parse, build the parts, call, render, exit. Nothing else."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from buildguard import main as start
from buildguard import session as calls
from buildguard import settings
from buildguard.agents.identity import in_ci, shell_limit
from buildguard.claims.guard import Guard
from buildguard.commands import attempt as trial
from buildguard.errors import Exit
from buildguard.options import Untouched, checking, common, terms
from buildguard.session import Call
from buildguard.settings import SettingsError
from buildguard.ui import phrases as words
from buildguard.ui import reports
from buildguard.ui.reports import Report
from buildguard.ui.voice import PREFIX, clean

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
LEAST_WAIT = 5.0
"""Seconds: an agent that is sent away at once only asks again at once."""
SHELL_MARGIN = 10.0
_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings=_CONTEXT)
@click.version_option(package_name="git-buildguard", prog_name="buildguard")
def cli() -> None:
    """When the build breaks, exactly one agent fixes it and everybody else waits."""


@cli.command("run", context_settings=_PASSED_ON)
@checking
@click.option("--wait", metavar="SPAN", help="If somebody else is fixing, wait at most this and check again [0].")
@click.option("--claim/--no-claim", default=None, help="Claim the fix on failure [yes, but no under CI].")
@click.argument("check", nargs=-1, type=click.UNPROCESSED)
def run_command(check: tuple[str, ...], claim: bool | None, **options: Any) -> None:
    """Run the CHECK; if it fails, claim the fix or say who has it."""
    from buildguard.commands import run

    call = start.opened(options)
    command = start.the_check(call, check)
    again = words.command(["buildguard", *sys.argv[1:]])
    if settings.off(call.environment) or trial.nested(call):
        _end(call, start.only_the_check(call, command, again))
    wait = call.settings.wait if options.get("wait") is not None else 0.0
    _end(call, run.run(call, command, again, wait, _claims(call, claim)))


@cli.command("hook", context_settings=_PASSED_ON)
@checking
@click.option("--wait", metavar="SPAN", help="How long the hook may wait where that harms nobody [5m].")
@click.argument("check", nargs=-1, type=click.UNPROCESSED)
def hook_command(check: tuple[str, ...], **options: Any) -> None:
    """What the git hook calls: run the CHECK for the commit in hand."""
    sys.exit(start.commit_hook(options, check, _aim()))


@cli.command("commit", cls=Untouched, options_metavar="[OPTIONS] [--] GIT-COMMIT-ARGUMENTS")
@click.option("--agent", metavar="ID", help="Who you are [session, CI job or process].")
@click.option("--timeout", metavar="SPAN", help="How long to wait for a fixer in all [5m].")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
@click.pass_obj
def commit_command(arguments: tuple[str, ...], /, **options: Any) -> None:
    """Like git commit; while somebody else fixes the build, wait outside git and commit again."""
    from buildguard.commands import commit

    call = start.opened(options)
    if options.get("agent") is not None:
        # The hook has to take us for the same agent.
        call = call._replace(environment={**call.environment, "BUILDGUARD_AGENT": str(options["agent"])})
    _end(call, commit.commit(call, arguments, _timeout(call, options)))


@cli.command("cherry-pick")
@click.option("--timeout", metavar="SPAN", help="How long to wait for other git commands here [5m].")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
@click.argument("commits", metavar="COMMIT...", nargs=-1, required=True)
def cherry_pick_command(commits: tuple[str, ...], **options: Any) -> None:
    """Bring the fix in each COMMIT into this branch, whatever others have staged here."""
    from buildguard.commands import cherry_pick as cherrypick

    call = start.opened(options)
    call.coordinate(Guard.alive)
    _end(call, cherrypick.cherry_pick(call, commits, _timeout(call, options)))


@cli.command("claim")
@terms
@common
def claim_command(**options: Any) -> None:
    """Become the fixer, if nobody is."""
    call = start.opened(options)
    answer = call.required().failed(None)
    _end(call, reports.claimed(answer, call.checkout, call.voice.build))


@cli.command("release")
@common
@click.option("--gave-up", is_flag=True, help="It is not fixed: leave it broken, claimable at once.")
@click.option("--reason", default="", metavar="TEXT", help="What the next one should know.")
@click.option("--claim", type=int, metavar="N", help="Only if this is still the claim's number.")
def release_command(gave_up: bool, reason: str, claim: int | None, **options: Any) -> None:
    """Hand the fixer role back: fixed, or given up."""
    call = start.opened(options)
    answer = call.required().release(claim, gave_up, reason, trial.left_behind(call))
    _end(call, reports.released(answer, call.checkout, call.voice.build, claim))


@cli.command("wait")
@common
@click.option("--timeout", metavar="SPAN", help="How long at most [5m].")
def wait_command(**options: Any) -> None:
    """Wait until no other live agent holds a claim here."""
    from buildguard.commands import run

    call = start.opened(options)
    guard = call.required()
    _alive(guard)
    moment = run.watch(call.voice, guard, _timeout(call, options))
    _end(call, reports.waited(moment, guard.me, call.checkout, call.voice.build))


@cli.command("status")
@common
@click.option("--all", "everything", is_flag=True, help="Every scope, not only those that matter here.")
@click.option("--exit-code", "gate", is_flag=True, help="Exit 1 unless passing: a gate for CI.")
def status_command(everything: bool, gate: bool, **options: Any) -> None:
    """Say how it stands."""
    call = start.opened(options)
    check = call.settings.check.text if call.settings.check else ""
    answer = call.required().status()
    report = reports.status(answer, call.checkout, call.voice.build, everything, gate, check)
    call.voice.panel(report.aimed(_aim()))
    sys.exit(report.exit)


@cli.command("reset")
@common
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset_command(yes: bool, **options: Any) -> None:
    """Declare the build passing, whoever is fixing it."""
    call = start.opened(options)
    guard = call.required()
    if not yes and (call.voice.json or not sys.stdin.isatty()):
        raise SettingsError("reset asks first, and nobody can answer here", f"buildguard reset --yes{_aim()}")
    if not yes:
        answer = guard.status()
        at_stake = words.at_stake(answer.view, answer.snapshot.now, call.checkout, call.voice.build)
        if not click.confirm(f"{PREFIX} {clean(at_stake)}; reset it to passing?", err=True):
            _end(call, Report("kept", Exit.FAILED, ("not reset",), "buildguard status"))
    _end(call, reports.reset(guard.reset(), call.checkout, call.voice.build))


@cli.command("log")
@common
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many events.")
def log_command(limit: int, **options: Any) -> None:
    """Tell what happened, oldest first."""
    call = start.opened(options)
    guard = call.required()
    _alive(guard)
    call.voice.history(guard.store.history(guard.build, limit), guard.read().now)


@cli.command("install")
@click.option("--check", metavar="COMMAND", help="Write this check into the settings file.")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def install_command(**options: Any) -> None:
    """Put the hook where git runs it; a hook that is there is kept and runs first."""
    from buildguard.setup.install import install

    call = start.opened(options)
    report = install(call, options["check"])
    if not call.voice.json:
        # For pasting: without our name before each line.
        click.echo(report.extra.get("block", ""), nl=False)
    _end(call, report)


@cli.command("uninstall")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def uninstall_command(**options: Any) -> None:
    """Take the hook out and put back what was there before it."""
    from buildguard.setup.install import uninstall

    call = start.opened(options)
    _end(call, uninstall(call))


@cli.command("doctor")
@common
def doctor_command(**options: Any) -> None:
    """Say what stands in the way here, and what mends it. Changes nothing."""
    from buildguard.setup.doctor import doctor

    call = start.opened(options)
    _end(call, doctor(call))


@cli.command("demo")
def demo_command() -> None:
    """Watch two agents, one broken build, one fix: in a temporary repository, in seconds."""
    from buildguard.commands import demo

    sys.exit(demo.demo())


def main(given: Sequence[str]) -> NoReturn:
    """Run the command line and exit; whatever goes wrong is one clear line and the right status."""
    sys.exit(start.ended(lambda: _parsed(given), given))


def _parsed(given: Sequence[str]) -> int:
    try:
        return int(cli.main(list(given) or ["--help"], prog_name="buildguard", standalone_mode=False) or 0)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "buildguard"
        raise SettingsError(error.format_message(), f"{command} --help") from error
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _claims(call: Call, asked: bool | None) -> bool:
    """Whether a failure claims: a red CI job must not leave a dead fixer behind, unless it is to fix."""
    if asked is not None:
        return asked
    return call.settings.fix is not None or not in_ci(call.environment)


def _timeout(call: Call, options: dict[str, Any]) -> float:
    """How long to wait outside git. Unless it was said here, the calling agent's shell must not end it; and a
    `wait` of 0 in the settings only keeps the hook from waiting."""
    if options.get("timeout") is not None:
        return call.settings.wait
    wait, limit = call.settings.wait or settings.Settings().wait, shell_limit(call.environment)
    return wait if limit is None else min(wait, max(LEAST_WAIT, limit.seconds - SHELL_MARGIN))


def _alive(guard: Guard) -> None:
    """A sign of life, where that can be written; what is read only needs no more."""
    with suppress(*calls.FAULTS):
        guard.alive()


def _aim() -> str:
    """The options of this call that say what it is about, as its `next` has to repeat them."""
    given = click.get_current_context().params
    chosen = [(f"--{name}", given.get(name)) for name in ("build", "scope", "db", "agent")]
    return "".join(f" {shlex.join([option, str(value)])}" for option, value in chosen if value is not None)


def _end(call: Call, report: Report) -> NoReturn:
    call.voice.answer(report.aimed(_aim()))
    sys.exit(report.exit)
