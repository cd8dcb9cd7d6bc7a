"""The state of the build as one live screen for a person."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from buildguard.claims.model import Event, Status, View, stale_in
from buildguard.text import shortened, span
from buildguard.ui.phrases import history_line, holder
from buildguard.ui.voice import fitted

# Black on a colour can be read on dark and on light backgrounds; yellow letters cannot.
_STALE, _SOON = "white on red", "black on yellow"
_BADGE = {Status.PASSING: "black on green", Status.BROKEN: _STALE, Status.FIXING: _SOON, "failing": "red"}
LAST_EVENTS = 8
"""How many events the screen has."""


class Scene(NamedTuple):
    """What there is to be seen: the lines of the status about these views, the runs that go on (who began each,
    when, and what it said last), and what happened."""

    status: Sequence[str]
    views: Sequence[View]
    now: float
    runs: Sequence[tuple[str, float, str]]
    events: Sequence[Event]
    checkout: str


def lines(scene: Scene) -> list[tuple[str, str]]:
    """The lines of the screen, each with its style. Pure."""
    now = scene.now
    fixers = {holder(view, now): _urgency(view, now) for view in scene.views}
    told = [(line, fixers.get(line) or _BADGE.get(line.partition(":")[0], "")) for line in scene.status]
    for agent, began, said in scene.runs:
        told.append((f"check running for {span(max(0.0, now - began))}{f', by {agent}' if agent else ''}", "bold"))
        told += [(f"  {shortened(said)}", "dim")] if said else []
    happened = [(history_line(event, now, scene.checkout), "dim") for event in scene.events[-LAST_EVENTS:]]
    return [*told, ("", ""), *happened, ("", ""), ("q ends this", "dim")]


def _urgency(view: View, now: float) -> str:
    """The style of a fixer: yellow once half of its time is over, red when it may be taken over."""
    claim = view.state.claim
    if claim is None or view.stale is not None:
        return _STALE
    return _SOON if stale_in(claim, now) < min(claim.stale_after, claim.max_claim) / 2 else "bold"


class Screen:
    """The terminal, as long as somebody watches."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=sys.stdout, highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._drawn: object = None

    def show(self, scene: Scene) -> None:
        """Draw it, unless it is drawn already."""
        from rich.console import Group
        from rich.text import Text

        told, size = lines(scene), self._console.size
        if (told, size) != self._drawn:
            self._drawn = told, size
            texts = [Text(fitted(line, size.width - 2), style) for line, style in told]
            self._live.update(Group(*texts), refresh=True)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take the terminal, and give it back as it was."""
        before = termios.tcgetattr(sys.stdin.fileno()) if sys.stdin.isatty() else None
        try:
            if before is not None:
                tty.setcbreak(sys.stdin.fileno())
            with self._live:
                yield
        finally:
            if before is not None:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)

    def quits(self, seconds: float) -> bool:
        """Whether somebody types `q` within that time."""
        if not sys.stdin.isatty():
            return gone(seconds)
        there, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
        # An empty read: the terminal is gone.
        return bool(there) and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b"")


def gone(seconds: float) -> bool:
    """Whether nobody reads our stdout any more, or will not within that time."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(seconds * 1000))
