"""The commands that explain: help, the settings in force, and completion for shells."""

import os
from typing import Any

import click

from buildguard.cli.helping import topics
from buildguard.cli.parsing import cli, end, opened, whole
from buildguard.errors import Exit
from buildguard.settings import in_force
from buildguard.ui.reports import Report


@cli.command("help")
@click.argument("topic", required=False)
@click.pass_context
def help_command(ctx: click.Context, topic: str | None) -> None:
    """Explain buildguard, one command, or the topics: exit codes and settings."""
    if topic == "topics":
        click.echo(topics((name, value) for name, value, _ in in_force({}, {}, None)))
        return
    above = ctx.parent or ctx
    command = cli.resolve_command(above, [topic])[1] if topic else cli
    click.echo(command.get_help(click.Context(command, info_name=topic, parent=above) if topic else above))


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what completes buildguard's commands in a shell: eval "$(buildguard completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(cli, {}, "buildguard", "_BUILDGUARD_COMPLETE").source())


@cli.command("config")
@whole
def config_command(**options: Any) -> None:
    """Tell the settings in force here, each with where it comes from."""
    session = opened(options)
    given = {name: value for name, value in options.items() if value is not None}
    top = (session.repository.top if session.repository else None) or session.cwd
    found = in_force(given, os.environ, top)
    lines = tuple(f"{name}: {value} ({source})" for name, value, source in found)
    rows = [{"name": name, "value": value, "source": source} for name, value, source in found]
    end(session, Report("config", Exit.OK, lines, extra={"settings": rows}))
