"""The commands that only look."""

import sys
from contextlib import suppress
from typing import Any

import click

from buildguard.claims.guard import Guard
from buildguard.cli.parsing import cli, common, opened, whole
from buildguard.session import FAULTS


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

    session = opened(options)
    report = looking.status(session, everything, gate)
    session.voice.panel(report)
    sys.exit(report.exit)


@cli.command("log")
@whole
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many events.")
def log_command(limit: int, **options: Any) -> None:
    """Tell what happened, oldest first."""
    from buildguard.commands import looking

    session = opened(options)
    _alive(session.required())
    session.voice.history(*looking.history(session, limit))


def _alive(guard: Guard) -> None:
    """A sign of life, where that can be written; what is read only needs no more."""
    with suppress(*FAULTS):
        guard.alive()
