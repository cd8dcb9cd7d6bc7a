"""The commands about the claim."""

import sys
from typing import Any

import click

from buildguard.cli.parsing import cli, common, end, opened, terms, wait_at_most
from buildguard.errors import Exit, SettingsError
from buildguard.ui.phrases import at_stake
from buildguard.ui.reports import Report
from buildguard.ui.voice import PREFIX, clean


@cli.command("claim")
@terms
@common
def claim_command(**options: Any) -> None:
    """Become the fixer, if nobody is."""
    from buildguard.commands import looking

    session = opened(options)
    end(session, looking.claim(session, session.again(sys.argv[1:])))


@cli.command("release")
@common
@click.option("--gave-up", is_flag=True, help="It is not fixed: leave it broken, claimable at once.")
@click.option("--reason", default="", metavar="TEXT", help="What the next one should know.")
@click.option("--claim", type=int, metavar="N", help="Only if this is still the claim's number.")
def release_command(gave_up: bool, reason: str, claim: int | None, **options: Any) -> None:
    """Hand the fixer role back: fixed, or given up."""
    from buildguard.commands import looking

    session = opened(options)
    end(session, looking.release(session, claim, gave_up, reason))


@cli.command("wait")
@common
@click.option("--timeout", metavar="SPAN", help="How long at most [5m].")
def wait_command(**options: Any) -> None:
    """Wait until no other live agent holds a claim here."""
    from buildguard.commands import looking

    session = opened(options)
    end(session, looking.wait(session, wait_at_most(session, options), session.again(sys.argv[1:])))


@cli.command("reset")
@common
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--claim", "evict", is_flag=True, help="End only the claim: the build stays broken.")
def reset_command(yes: bool, evict: bool, **options: Any) -> None:
    """Declare the build passing, whoever is fixing it; or end only the claim."""
    session = opened(options)
    guard = session.required()
    if not yes and (session.voice.json or not sys.stdin.isatty()):
        again = session.answers.next("reset", "--yes", *(["--claim"] if evict else []))
        raise SettingsError("reset asks first, and nobody can answer here", again)
    if not yes:
        snapshot = guard.read(fresh=True)
        stake = at_stake(guard.status(snapshot).view, snapshot.now, session.checkout, session.settings.build)
        if not click.confirm(
            f"{PREFIX} {clean(stake)}; {'end the claim' if evict else 'reset it to passing'}?", err=True
        ):
            end(session, Report("kept", Exit.FAILED, ("not reset",), session.answers.next("status")))
    end(session, session.answers.reset(guard.reset(evict)))
