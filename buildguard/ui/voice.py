"""Shows answers: plain lines, one JSON object, or Rich where a person looks at a terminal.

What is about the run goes to stderr, the answer to stdout. Text from outside reaches no terminal as control
characters, no line of its own, and Rich never as markup.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from buildguard.agents.identity import coding_agent, in_ci
from buildguard.claims.flakiness import Flake
from buildguard.claims.model import Event, Status
from buildguard.text import clock, cut, shortened, span
from buildguard.ui.keys import event_facts, facts, flaky_facts
from buildguard.ui.phrases import flaky, happened, history_line, place
from buildguard.ui.reports import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status as Spinner

PREFIX = "buildguard:"
SIGN_OF_LIFE = 30.0
"""Seconds between two lines of a wait where no person looks."""
_SPINNER = "|/-\\"
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def clean(line: str) -> str:
    """The line with everything escaped that could move a cursor, break a line or turn the reading direction."""
    if line.isascii() and line.isprintable():
        return line
    import unicodedata  # a passing hook says nothing that needs it

    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in _HIDDEN else char
        for char in line
    )


def fitted(line: str, width: int) -> str:
    """The line, clean, with words that are longer than `width` cut in their middle: none is broken at the edge."""
    return " ".join(cut(word, width) for word in clean(line).split(" "))


class Voice:
    """How one command speaks: to `out` the answer, to `err` what is about the run."""

    def __init__(
        self, build: str, json: bool, environment: Mapping[str, str], framework: bool = False, hook: bool = False
    ) -> None:
        self.build = build
        self.json = json
        self.out: TextIO = sys.stdout
        self.err: TextIO = sys.stderr
        self._answers_to = sys.stderr if hook and not json else sys.stdout
        self._said: set[str] = set()
        self._fancy = not (json or framework) and _person_looks(environment)

    @property
    def person(self) -> bool:
        """Whether a person looks at the terminal that we speak to."""
        return self._fancy and _is_terminal(self.err)

    @property
    def screen(self) -> bool:
        """Whether a person looks at the terminal that the answer goes to."""
        return self._fancy and _is_terminal(self.out)

    def say(self, line: str) -> None:
        """A line about the run."""
        self._line(self.err, line)

    def say_once(self, line: str) -> None:
        """A line that would only be noise if each step said it again."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    def command(self, line: str) -> None:
        """A line for the program that reads what we say, as it stands."""
        _write(self.err, line)

    def answer(self, report: Report) -> None:
        """The answer: its lines and the next command, or exactly one JSON object."""
        if self.json:
            self._write_json(report)
            return
        for line in report.lines:
            self._line(self._answers_to, line)
        self._next(self._answers_to, report)

    def panel(self, report: Report) -> None:
        """The status for a person; plain lines for everybody else."""
        if not self.screen:
            self.answer(report)
            return
        from rich.panel import Panel
        from rich.text import Text

        console = _console(self.out)
        body = Text("\n".join(fitted(line, console.width - 4) for line in report.lines))
        status = report.view.state.status if report.view else Status.PASSING
        border = {Status.PASSING: "green", Status.BROKEN: "red", Status.FIXING: "yellow"}[status]
        console.print(Panel(body, title=Text(f"buildguard: {status.value}"), border_style=border, expand=False))
        # Below the panel, not in it: nobody can paste a command with a border around it.
        self._next(self.out, report)

    def history(self, events: Sequence[Event], now: float, flakes: Sequence[Flake], checkout: str) -> None:
        """The history: a table for a person, a line an event elsewhere, or one JSON object. Below it what is
        flaky."""
        if self.json:
            found = {"events": [event_facts(event) for event in events], "flaky": flaky_facts(flakes)}
            self._write_json(Report("log", 0, (), extra=found))
            return
        if not events:
            self._line(self.out, "no events yet")
        self._events(events, now, checkout)
        for line in flaky(flakes):
            self._line(self.out, line)

    def _events(self, events: Sequence[Event], now: float, checkout: str) -> None:
        if not self.screen:
            for event in events:
                self._line(self.out, history_line(event, now, checkout))
            return
        from rich.table import Table
        from rich.text import Text

        console = _console(self.out)
        table, width = Table(box=None), console.width
        for head in ("when", "where", "claim", "what"):
            table.add_column(head, overflow="fold")
        for event in events:
            where = cut(place(event.scope, checkout), width // 3)
            cells = (clock(event.at, now), where, str(event.number or ""), happened(event, now))
            table.add_row(*(Text(fitted(cell, width // 3)) for cell in cells))
        console.print(table)

    def _next(self, stream: TextIO, report: Report) -> None:
        if report.next is not None:
            _write(stream, f"next: {clean(report.next)}")

    def _line(self, stream: TextIO, line: str) -> None:
        if not (self._fancy and _is_terminal(stream)):
            _write(stream, f"{PREFIX} {clean(line)}")
            return
        from rich.text import Text

        console = _console(stream)
        shown = Text(f"{PREFIX} {fitted(line, console.width)}")
        shown.stylize("dim", 0, len(PREFIX))
        style = next((style for start, style in _COLOURS.items() if line.startswith(start)), "")
        shown.stylize(style, len(PREFIX) + 1)
        for part in shown.wrap(console, console.width):
            part.rstrip()
            console.print(part, soft_wrap=True)

    def facts(self, report: Report) -> dict[str, Any]:
        """The documented JSON object of an answer."""
        return {
            "schema": 1,
            "outcome": report.outcome,
            **facts(report.view, report.now, report.agent, self.build),
            "next": report.next,
            "agent": report.agent.id if report.agent else None,
            "message": "; ".join(report.lines),
            **report.extra,
        }

    def _write_json(self, report: Report) -> None:
        import json

        _write(self.out, json.dumps(self.facts(report)))


_COLOURS = {
    "passed": "green",
    "released": "green",
    "free": "green",
    "fixed": "green",
    "passing": "green",
    "failed": "red",
    "broken": "red",
    "busy": "yellow",
    "fixing": "yellow",
    "inconclusive": "yellow",
    "claimed": "bold",
    "renewed": "bold",
    "taken over": "bold",
    "refused": "red",
    "gave up": "yellow",
    "recovered": "green",
    "not your commit": "yellow",
    "passes here": "yellow",
    "the wait ran out": "yellow",
}
"""How a line is coloured that begins so."""


class Countdown:
    """A wait that can be watched: a countdown for a person; elsewhere a line at its start, one per change, and a
    sign of life every 30 seconds."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._status: Spinner | None = None
        self._said = ""
        self._said_at = 0.0

    def show(self, line: str, left: float, now: float) -> None:
        """Called at each look; `left` are the seconds that the wait may still last, `now` is a monotonic time."""
        voice = self._voice
        if voice.person:
            minutes, seconds = divmod(int(left), 60)
            self._spin(f"{PREFIX} {clean(line)} (up to {minutes}:{seconds:02} more)")
        elif line != self._said or now - self._said_at >= SIGN_OF_LIFE:
            voice.say(f"waiting: {line} (up to {span(left)} more)")
            self._said, self._said_at = line, now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _spin(self, line: str) -> None:
        from rich.status import Status as Spinner
        from rich.text import Text

        if self._status is None:
            self._status = Spinner(Text(line), console=_console(self._voice.err))
            self._status.start()
        else:
            self._status.update(Text(line))


class Checking:
    """A check that runs is seen though it prints nothing: a line with its time for a person, which goes as soon as
    it prints again; elsewhere a line every 30 seconds."""

    def __init__(self, voice: Voice, check: str) -> None:
        self._voice = voice
        self._check = shortened(clean(check))
        self._shown = False
        self._said = 0.0

    def silent(self, seconds: float, silence: float, line_open: bool) -> None:
        """It runs for so many `seconds`, and has printed nothing for that `silence`."""
        voice = self._voice
        if silence < 1:
            self._said = 0.0
        elif not voice.person:
            if silence - self._said >= SIGN_OF_LIFE:
                self._said = silence
                if line_open:
                    _write(voice.err, "")
                voice.say(f"still running: {self._check} ({span(seconds)})")
        elif not line_open:
            width = os.get_terminal_size(voice.err.fileno()).columns
            line = f"{_SPINNER[int(seconds * 4) % 4]} {PREFIX} checking for {seconds:.0f} s: {self._check}"
            self._draw(line[: width - 1])
            self._shown = True

    def speaks(self) -> None:
        """It prints something, or we do: the line goes."""
        if self._shown:
            self._shown = False
            self._draw("")

    def _draw(self, line: str) -> None:
        with suppress(OSError):
            self._voice.err.write(f"\r\x1b[2K{line}")
            self._voice.err.flush()


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, highlight=False)


def _write(stream: TextIO, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except UnicodeEncodeError:
        stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        stream.flush()
    except OSError:
        # Nobody reads any more (a closed pipe): the verdict counts, not who hears it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_terminal(stream: TextIO) -> bool:
    """A terminal that a person can look at: hook frameworks hand out one of 0 by 0."""
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):
        return False


def _person_looks(environment: Mapping[str, str]) -> bool:
    plain = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
    return not plain and not in_ci(environment) and coding_agent(environment) is None
