"""Makes what the documents show of the program: the screens of the README, and the man page.

`cd tests && python -m testing.made` writes them anew. They are made of the program's own words: the demo as the
README tells it (a slow test compares that with the real one), the live screen of a fleet, and Click's help.
"""

import io
import os
import re
import time
from collections.abc import Iterator
from html import unescape

import click
from rich.console import Console
from rich.text import Text

from buildguard.claims.model import Breakage, Claim, Event, Kind, Seen, Snapshot, State, Status, Waiter
from buildguard.cli import cli
from buildguard.cli.helping import EXAMPLES, EXITS, SECTIONS, section
from buildguard.settings import in_force, variable_of
from buildguard.ui.answers import head_line
from buildguard.ui.keys import Head
from buildguard.ui.phrases import status, waited_for
from buildguard.ui.voice import fitted
from buildguard.ui.watch import Scene, lines
from testing.documents import README, blocks
from testing.support import PROJECT

SCREENS = PROJECT / "docs" / "screens"
MAN_PAGE = PROJECT / "docs" / "git-buildguard.1"
NOW = 1_800_000_000.0
_STYLES = {"agent-a": "cyan", "agent-b": "magenta", "demo": "dim"}


def demo_lines() -> list[tuple[str, str]]:
    """The demo as the README tells it, a style a line."""
    (text,) = [block.text for block in blocks(README) if block.language == "console"]
    return [(line, _STYLES.get(line.partition(" ")[0], "bold")) for line in text.rstrip("\n").split("\n")]


def watch_lines() -> list[tuple[str, str]]:
    """The live screen while agent-a fixes, two others wait, and a check runs."""
    here = "checkout:main"
    os.environ["TZ"] = "UTC"
    time.tzset()
    claim = Claim("agent-a", here, NOW - 260, NOW - 14, 900.0, 3600.0, attempts=2)
    ids = ("tests/test_cart.py::test_total", "tests/test_cart.py::test_empty")
    breakage = Breakage("pytest -q", NOW - 260, ids, ids, "", {here: Seen("", "", "")}, None, claim)
    waiters = tuple(Waiter(name, here, here, "agent-a", NOW - 90, NOW - 20) for name in ("agent-b", "agent-c"))
    snapshot = Snapshot({here: State(here, 7, 1, NOW - 14, 3, breakage)}, now=NOW, waiters=waiters)
    views = snapshot.views()
    told = [*status(views[0], NOW, here, "default"), *waited_for(views[0], waiters, None)]
    told += [head_line(Head("4f2a91c" + "0" * 33, False, "agent-a", NOW - 260), NOW)]
    events = [
        Event(Kind.FIXED, here, 6, "agent-c", check="pytest -q", lasted=190.0, at=NOW - 3000, after=Status.PASSING),
        Event(Kind.CLAIMED, here, 7, "agent-a", failures=ids, at=NOW - 260, after=Status.FIXING),
    ]
    runs = [("agent-a", NOW - 12, "tests/test_cart.py ..........F")]
    return lines(Scene(told, views, NOW, runs, events, here))


def svg(title: str, told: list[tuple[str, str]], width: int) -> str:
    """A screen as Rich exports it, without the fonts that it would load from elsewhere."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line, style in told:
        console.print(Text(fitted(line, width), style))
    made = console.export_svg(title=title, unique_id="buildguard")
    return re.sub(r"\s*@font-face \{.*?\}", "", made, flags=re.DOTALL)


def texts(made: str) -> list[str]:
    """The lines that a screen shows, whichever Rich has drawn it."""
    rows: dict[int, list[str]] = {}
    for row, text in re.findall(r'clip-path="url\(#buildguard-line-(\d+)\)">(.*?)</text>', made):
        rows.setdefault(int(row), []).append(unescape(text))
    return ["".join(rows[row]).replace("\xa0", " ").rstrip() for row in sorted(rows)]


def screens() -> dict[str, str]:
    """The screens by the names of their files."""
    told = demo_lines()
    demo = svg("buildguard demo", told, max(len(line) for line, _ in told))
    return {"demo.svg": demo, "watch.svg": svg("buildguard status --watch", watch_lines(), 84)}


def man_page() -> str:
    """The man page, by which `git buildguard --help` answers."""
    return "\n".join(_man()) + "\n"


def _man() -> Iterator[str]:
    yield '.TH GIT-BUILDGUARD 1 "" "buildguard" "Git Manual"'
    yield ".SH NAME\ngit\\-buildguard \\- " + _roff((cli.help or "").rstrip("."))
    synopsis = (f".B {program}\n.I COMMAND\n[OPTIONS] [ARGUMENTS]" for program in ("buildguard", "git buildguard"))
    yield ".SH SYNOPSIS\n" + "\n.br\n".join(synopsis)
    for title in dict.fromkeys(SECTIONS.values()):
        yield f'.SH "{title.upper()}"'
        for name, command in sorted(cli.commands.items()):
            if section(command) == title:
                yield from _man_of(name, command)
    yield '.SH "EXIT STATUS"'
    for code, meaning in EXITS.items():
        yield f".TP\n.B {int(code)}\n{_roff(meaning)}"
    yield ".SH SETTINGS\nOption, else environment, else file, else default."
    for name, value, _ in in_force({}, {}, None):
        yield f".TP\n.B {_roff(name)}\n{_roff(f'{variable_of(name)} [{value}]'.strip())}"


def _man_of(name: str, command: click.Command) -> Iterator[str]:
    yield f".SS {_roff(name)}\n{_roff(' '.join((command.help or '').split()))}"
    context = click.Context(command, info_name=name)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1])}"
    for inner, below in sorted(getattr(command, "commands", {}).items()):
        yield from _man_of(f"{name} {inner}", below)
    if name in EXAMPLES:
        yield f".PP\nExample:\n.B buildguard {_roff(EXAMPLES[name])}"


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text


if __name__ == "__main__":
    SCREENS.mkdir(exist_ok=True)
    for file, content in screens().items():
        (SCREENS / file).write_text(content, encoding="utf-8")
    MAN_PAGE.write_text(man_page(), encoding="utf-8")
