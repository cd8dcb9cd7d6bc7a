"""The commands that set buildguard up, and the demo."""

import sys
from typing import Any

import click

from buildguard.cli.parsing import cli, end, opened, whole


@cli.command("install")
@click.option("--check", metavar="COMMAND", help="Write this check into the settings file.")
@click.option("--engine", metavar="ENGINE", help="What all clones share, as git:origin; written there, too.")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def install_command(**options: Any) -> None:
    """Put the hook where git runs it; a hook that is there is kept and runs first."""
    from buildguard.setup.install import put_in

    session = opened(options)
    report = put_in(session, options["check"], engine=options["engine"])
    if not session.voice.json:
        # For pasting: without our name before each line.
        click.echo(report.extra.get("block", ""), nl=False)
    end(session, report)


@cli.command("uninstall")
@click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")
def uninstall_command(**options: Any) -> None:
    """Take the hook out and put back what was there before it."""
    from buildguard.setup.install import take_out

    session = opened(options)
    end(session, take_out(session))


@cli.command("doctor")
@whole
@click.option("--mend", is_flag=True, help="Remove an old index.lock that no git holds.")
def doctor_command(mend: bool, **options: Any) -> None:
    """Say what stands in the way here, and what mends it. Changes nothing else."""
    from buildguard.setup.doctor import examine

    session = opened(options)
    end(session, examine(session, mend))


@cli.command("demo")
def demo_command() -> None:
    """Watch two agents, one broken build, one fix: in a temporary repository, in seconds."""
    from buildguard.commands import demo

    sys.exit(demo.demo())
