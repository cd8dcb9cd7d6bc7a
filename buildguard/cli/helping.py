"""Help: the commands in groups with an example each, topics, completion, and the settings in force."""

from collections.abc import Iterable
from typing import Any

import click

from buildguard.errors import Exit
from buildguard.settings import variable_of

SECTIONS = {
    "committing": "Committing",
    "coordinating": "Coordinating",
    "observing": "Looking",
    "preparing": "Setting up",
    "for_agents": "Setting up",
    "explaining": "Setting up",
}
"""The heading for the commands of each module."""
EXAMPLES = {
    "run": "run -- pytest -q",
    "hook": "hook",
    "commit": 'commit -am "Say what changed"',
    "cherry-pick": "cherry-pick 1a2b3c4",
    "claim": "claim --agent ann",
    "release": 'release --gave-up --reason "needs the new compiler"',
    "wait": "wait --timeout 10m",
    "status": "status --watch",
    "reset": "reset --yes",
    "log": "log --html history.html",
    "install": 'install --check "pytest -q"',
    "uninstall": "uninstall",
    "doctor": "doctor",
    "agents": "agents install --hooks",
    "agent-hook": "agent-hook claude stop",
    "config": "config",
    "completion": "completion bash",
    "demo": "demo",
    "help": "help topics",
}
EXITS = {
    Exit.OK: "passed; you are the fixer (claim); released; free (wait)",
    Exit.FAILED: "the check failed and it is yours to fix; an explained failure",
    Exit.USAGE: "usage: the command line or a setting is wrong",
    Exit.NOT_YOURS: "not your claim",
    Exit.INCONCLUSIVE: "inconclusive: the check could not run; status --exit-code: nothing is known of HEAD",
    Exit.UNAVAILABLE: "coordination is unavailable (only from commands that do nothing else)",
    Exit.BUG: "a bug; the traceback is in a file, ready to be reported",
    Exit.BUSY: "busy: somebody else is fixing, or the wait ran out",
    Exit.INTERRUPTED: "interrupted",
}


class Grouped(click.Group):
    """The commands under headings; each shows its example, and a mistyped one the nearest."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add it, with its example below its help."""
        example = EXAMPLES.get(name or cmd.name or "")
        cmd.epilog = cmd.epilog or (f"Example: buildguard {example}" if example else None)
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A heading for each group, in the order of a day's work."""
        for title in dict.fromkeys([*SECTIONS.values(), "Others"]):
            named = sorted((name, cmd) for name, cmd in self.commands.items() if section(cmd) == title)
            room = formatter.width - 18
            rows = [(name, cmd.get_short_help_str(room)) for name, cmd in named if not cmd.hidden]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=14)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is called."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.commands, 1)
            if near and "Did you mean" not in error.format_message():
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error
            raise


def section(command: click.Command) -> str:
    """The heading that a command stands under."""
    module = getattr(command.callback, "__module__", "").rpartition(".")[2]
    return SECTIONS.get(module, "Others")


def topics(settings: Iterable[tuple[str, str]]) -> str:
    """Exit codes and settings, as text; the settings are names and defaults."""
    formatter = click.HelpFormatter(max_width=100)
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), meaning) for code, meaning in EXITS.items()])
    with formatter.section("Settings (option, else environment, else file)"):
        formatter.write_dl([(name, f"{variable_of(name)} [{default}]".lstrip()) for name, default in settings])
    return formatter.getvalue().strip("\n")
