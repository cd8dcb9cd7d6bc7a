"""The commands for coding agents: their files, and what their hooks call."""

import sys
from typing import Any

import click

from buildguard.agents.hookfiles import BY_NAME
from buildguard.cli.parsing import cli, end, opened

_JSON = click.option("--json", is_flag=True, help="Answer with one JSON object on stdout.")


@cli.group("agents")
def agents_group() -> None:
    """Tell the coding agents that work here about buildguard, in their own files."""


@agents_group.command("install")
@click.option(
    "--agent", "names", metavar="NAME", type=click.Choice(list(BY_NAME)), multiple=True, help="Whose hooks [found]."
)
@click.option("--hooks", is_flag=True, help="Write the agents' hook files, too.")
@click.option("--print", "shown", is_flag=True, help="Only print the text, to be pasted.")
@_JSON
def install_command(names: tuple[str, ...], hooks: bool, shown: bool, **options: Any) -> None:
    """Write the text into AGENTS.md, and the skill fix-build; what else is there stays as it is."""
    from buildguard.setup.agents import put_in, text_for_agents

    if shown:
        click.echo(text_for_agents(), nl=False)
        return
    session = opened(options)
    end(session, put_in(session, names, hooks or bool(names)))


@agents_group.command("uninstall")
@_JSON
def uninstall_command(**options: Any) -> None:
    """Take out again just what install wrote."""
    from buildguard.setup.agents import take_out

    session = opened(options)
    end(session, take_out(session))


@agents_group.command("list")
@_JSON
def list_command(**options: Any) -> None:
    """Say which agents are known, found here, and have their hooks installed."""
    from buildguard.setup.agents import listed

    session = opened(options)
    end(session, listed(session))


@cli.command("agent-hook")
@click.argument("name", metavar="AGENT", type=click.Choice(list(BY_NAME)))
@click.argument("moment", metavar="MOMENT", type=click.Choice(["tool", "start", "sub", "stop", "end"]))
def agent_hook_command(name: str, moment: str) -> None:
    """What a coding agent's hook calls: read the event from stdin, answer in the agent's dialect."""
    from buildguard.commands.agent_hook import heard

    sys.exit(heard((name, moment)))
