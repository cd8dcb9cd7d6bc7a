"""The history as bars and marks over time, a lane for each agent: what a picture of it is made of. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from buildguard.claims.flakiness import flakes
from buildguard.claims.model import Event, Kind, Proof
from buildguard.text import clock, some, span
from buildguard.ui.phrases import happened, place

_OPENS = (Kind.CLAIMED, Kind.TAKEN_OVER, Kind.REPORTED)
_ENDS = (Kind.FIXED, Kind.RECOVERED, Kind.RELEASED, Kind.RESET)
IDLE = 1800.0
"""After so many seconds without an event a new picture begins: in one, a night would take all the room."""
LONGEST_PICTURE = 4 * 3600.0
"""Seconds that one picture shows at most."""
MOST_PICTURES = 100
"""How many pictures there are: of a longer history each shows more, with longer pauses in it."""
CARRIED = 20
"""How many bars that began in an earlier picture are shown again."""


class Bar(NamedTuple):
    """Something that lasted: `kind` is `broken`, `fixing` or `waiting`; `lane` is an agent, or a scope in words."""

    kind: str
    lane: str
    since: float
    until: float
    title: str
    number: int = 0


class Mark(NamedTuple):
    """Something that happened at one moment, in the lane of an agent; it may have come `out_of` another lane."""

    kind: str
    lane: str
    at: float
    title: str
    out_of: str = ""


class Picture(NamedTuple):
    """A stretch of time with all that happened in it."""

    since: float
    until: float
    bars: Sequence[Bar]
    marks: Sequence[Mark]


def pictures(events: Sequence[Event], proofs: Sequence[Proof], now: float) -> list[Picture]:
    """The history, oldest first, in stretches without a long pause; what is not over ends at `now`."""
    bars = _bars(events, now)
    marks = sorted(_marks(events, proofs, now), key=lambda mark: mark.at)
    found: list[Picture] = []
    open_bars: list[Bar] = []
    for since, until in _stretches(sorted([*(bar.since for bar in bars), *(event.at for event in events)]), now):
        room = max(5.0, (until - since) * 0.02)
        begun = bisect_right(bars, until, key=lambda bar: bar.since)
        happened_here = bisect_right(marks, until, key=lambda mark: mark.at)
        shown = [*open_bars, *bars[:begun]]
        found.append(Picture(since - room, until + room, shown, marks[:happened_here]))
        # Else a thousand breakages that nobody ended would be in each of a thousand pictures.
        open_bars = [bar for bar in shown if bar.until > until + room][-CARRIED:]
        del bars[:begun], marks[:happened_here]
    return found


def _stretches(times: Sequence[float], now: float) -> list[list[float]]:
    """First and last time of each stretch without a long pause."""
    factor = 1
    while len(found := _parted(times, IDLE * factor, LONGEST_PICTURE * factor)) > MOST_PICTURES:
        factor *= 2
    if found and 0 <= now - found[-1][1] <= IDLE:
        found[-1][1] = now
    return found


def _parted(times: Sequence[float], idle: float, longest: float) -> list[list[float]]:
    found: list[list[float]] = []
    for at in times:
        if found and at - found[-1][1] <= idle and at - found[-1][0] <= longest:
            found[-1][1] = at
        else:
            found.append([at, at])
    return found


def figures(events: Sequence[Event], proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    """What the history comes to, each figure with its name."""
    ended = (Kind.FIXED, Kind.RECOVERED)
    green = sorted(event.lasted for event in events if event.kind in ended and event.lasted is not None)
    waits = [_seconds(event) for event in events if event.kind is Kind.WAITED]
    counted = {kind: sum(event.kind is kind for event in events) for kind in Kind}
    return [
        ("time to green, median", span(green[len(green) // 2]) if green else "none yet"),
        ("time to green, worst", span(green[-1]) if green else "none yet"),
        ("fixed by a commit", str(counted[Kind.FIXED])),
        ("waits", f"{len(waits)}, {span(sum(waits))}" if waits else "0"),
        ("takeovers", str(counted[Kind.TAKEN_OVER])),
        ("hand-overs", str(counted[Kind.SENT])),
        ("recovered", str(counted[Kind.RECOVERED])),
        ("flaky", str(len(flakes(proofs)))),
    ]


def _bars(events: Sequence[Event], now: float) -> list[Bar]:
    """What lasted, oldest first; the breakages are numbered."""
    bars: list[Bar] = []
    broken: dict[str, Event] = {}
    held: dict[str, Event] = {}
    for event in events:
        if event.kind is Kind.WAITED:
            title = happened(event, now)
            bars.append(Bar("waiting", event.agent, event.at - _seconds(event), event.at, title))
        ends = event.kind in _ENDS
        if (ends or event.kind in (Kind.TAKEN_OVER, Kind.GAVE_UP, Kind.EVICTED)) and event.scope in held:
            bars.append(_fixing(held.pop(event.scope), event.at))
        if event.kind in (Kind.CLAIMED, Kind.TAKEN_OVER):
            held[event.scope] = event
        if event.kind in _OPENS:
            broken.setdefault(event.scope, event)
        elif ends and (event.scope in broken or event.lasted is not None):
            began = broken.pop(event.scope, event._replace(at=event.at - (event.lasted or 0.0)))
            bars.append(_broken(began, event, now))
    bars += [_fixing(event, max(now, event.at)) for event in held.values()]
    bars += [_broken(event, None, now) for event in broken.values()]
    bars.sort(key=lambda bar: bar.since)
    numbers = count(1)
    return [bar._replace(number=next(numbers)) if bar.kind == "broken" else bar for bar in bars]


def _fixing(event: Event, until: float) -> Bar:
    title = f"{event.agent} fixes {place(event.scope)}, claim {event.number}, {span(until - event.at)}"
    return Bar("fixing", event.agent, event.at, until, title)


def _broken(began: Event, end: Event | None, now: float) -> Bar:
    until = end.at if end else max(now, began.at)
    ids = (end.failures if end else ()) or began.failures
    failed = some(ids) or began.check or "claimed by hand"
    how = happened(end, now) if end else "still open"
    title = f"{clock(began.at, now)} {place(began.scope)}, {span(until - began.at)}: {failed}; {how}"
    return Bar("broken", place(began.scope), began.at, until, title)


def _marks(events: Sequence[Event], proofs: Sequence[Proof], now: float) -> list[Mark]:
    marks = []
    for proof in proofs:
        word = "passed" if proof.passed else "failed"
        title = f"{clock(proof.at, now)} {proof.agent}: {proof.check} {word}"
        marks += [Mark(word, proof.agent, proof.at, title)] if proof.agent else []
    for event in events:
        if event.kind not in (Kind.CLAIMED, Kind.WAITED) and event.agent:
            other = (event.other or "") if event.kind in (Kind.TAKEN_OVER, Kind.SENT) else ""
            commits = f" ({', '.join(one[:7] for one in event.commits[-3:])})" if event.commits else ""
            title = f"{clock(event.at, now)} {happened(event, now)}{commits}"
            marks.append(Mark(event.kind.value, event.agent, event.at, title, other))
    return marks


def _seconds(event: Event) -> float:
    """How long a wait lasted, as its note says it."""
    number = event.reason.partition(" ")[0]
    return min(float(number), LONGEST_PICTURE) if number.isascii() and number.isdigit() else 0.0
