"""The commands that only look."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from buildguard.claims.guard import Guard
from buildguard.cli.parsing import cli, common, end, opened, whole
from buildguard.errors import Exit
from buildguard.session import FAULTS

MOST_DRAWN = 10_000
"""How many events a page has: it is made in two seconds, and no larger than 5 MB."""


@cli.command("status")
@common
@click.option("--all", "everything", is_flag=True, help="Every scope, not only those that matter here.")
@click.option(
    "--exit-code",
    "gate",
    is_flag=True,
    help="A gate for clean checkouts and CI: 0 only if HEAD passed, 1 if red, 4 if not known.",
)
@click.option("--watch", is_flag=True, help="Go on looking, and show each change; q ends it.")
def status_command(everything: bool, gate: bool, watch: bool, **options: Any) -> None:
    """Say whether the build is broken here, who fixes it, and whether HEAD was checked."""
    from buildguard.commands import looking

    session = opened(options)
    if watch:
        from buildguard.commands import watching

        watching.follow(session, everything)
        sys.exit(Exit.OK)
    report = looking.status(session, everything, gate)
    session.voice.panel(report)
    sys.exit(report.exit)


@cli.command("log")
@whole
@click.option("-n", "--limit", type=click.IntRange(1), help="How many events [20; of a page 10000].")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write a page for a browser.")
def log_command(limit: int | None, html: Path | None, **options: Any) -> None:
    """Tell what happened, oldest first."""
    from buildguard.commands import looking

    session = opened(options)
    _alive(session.required())
    if html is not None:
        end(session, looking.drawn(session, limit or MOST_DRAWN, html))
    session.voice.history(*looking.history(session, limit or 20), session.checkout)


def _alive(guard: Guard) -> None:
    """A sign of life, where that can be written; what is read only needs no more."""
    with suppress(*FAULTS):
        guard.alive()
