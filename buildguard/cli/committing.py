"""The commands that run a check, or commit."""

import sys
from typing import Any

import click

from buildguard.agents.identity import in_ci
from buildguard.claims.guard import Guard
from buildguard.cli.parsing import (
    FIRST_WORD_ENDS,
    Untouched,
    checking,
    cli,
    common,
    end,
    given,
    opened,
    wait_at_most,
)
from buildguard.commands.hook import commit_hook
from buildguard.session import AIMING, Session, the_check
from buildguard.settings import off


@cli.command("run", context_settings=FIRST_WORD_ENDS)
@checking
@click.option("--fresh", is_flag=True, help="Run the check, whoever runs it or has run it on these very files.")
@click.option("--wait", metavar="SPAN", help="If somebody else is fixing, wait at most this and check again [0].")
@click.option("--claim/--no-claim", default=None, help="Claim the fix on failure [yes, but no under CI].")
@click.argument("check", nargs=-1, type=click.UNPROCESSED)
def run_command(check: tuple[str, ...], claim: bool | None, **options: Any) -> None:
    """Run the CHECK; if it fails, claim the fix or say who has it."""
    from buildguard.commands import run

    session = opened(options)
    command = the_check(session, check)
    again = session.again(sys.argv[1:])
    if off(session.environment):
        end(session, run.bare_run(session, command, again))
    inner = run.nested(session, command, again)
    if inner is not None:
        end(session, inner)
    wait = session.settings.wait if options.get("wait") is not None else 0.0
    later = None if wait > 0 else session.answers.with_option(again, "--wait", "5m")
    end(session, run.run_check(session, command, again, wait, _claims(session, claim), later))


@cli.command("hook", context_settings=FIRST_WORD_ENDS)
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

    session = opened(options)
    # The hook has to take us for the same agent, and to be about the same build.
    named = {f"BUILDGUARD_{name.upper()}": options[name] for name in AIMING if options.get(name)}
    if session.settings.db is not None:
        # The hook runs at the top.
        named["BUILDGUARD_DB"] = str(session.settings.db.absolute())
    session = session._replace(environment={**session.environment, **named})
    own = [word for name in ("timeout", "json", "fresh") for word in given(name, options)]
    end(session, commit.commit(session, words[1], wait_at_most(session, options), own))


@cli.command("cherry-pick")
@common
@click.option("--timeout", metavar="SPAN", help="How long to wait for other git commands here [5m].")
@click.argument("commits", metavar="COMMIT...", nargs=-1, required=True)
def cherry_pick_command(commits: tuple[str, ...], **options: Any) -> None:
    """Bring the fix in each COMMIT into this branch, whatever others have staged here."""
    from buildguard.commands import cherry_pick

    session = opened(options)
    session.coordinate(Guard.alive)
    end(session, cherry_pick.cherry_pick(session, commits, wait_at_most(session, options)))


def _claims(session: Session, asked: bool | None) -> bool:
    """Whether a failure claims: a red CI job must not leave a dead fixer behind, unless it is to fix."""
    if asked is not None:
        return asked
    return session.settings.fix is not None or not in_ci(session.environment)
