"""(d) What a long history costs `claim` and `status`.

The verb alone, from opening the store to closing it. The history is 100,000 events of claims and fixes: once
of the last year, so that nothing of it is of today, and once all of today. Lower quartiles: a claim ends with the
disk's answer, and the median would tell of whoever else writes to it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.guards import guard
from benchmarks.table import Row, Table, in_turn, milliseconds, percentile

from buildguard.claims.guard import Guard
from buildguard.claims.model import Event, Kind, Outcome, Status
from buildguard.store import codec

YEAR = 365 * 24 * 3600.0
HOUR = 3600.0
MOST_RATIO = 1.2


def measure(folder: Path, smallest: bool) -> Table:
    """The same verbs on three databases, in turn."""
    events, rounds = (100, 3) if smallest else (100_000, 80)
    paths = {"no events": folder / "none.db"}
    paths[f"{events:,} events of a year"] = folder / "year.db"
    paths[f"{events:,} events of today"] = folder / "today.db"
    for path, (number, span) in zip(paths.values(), ((0, YEAR), (events, YEAR), (events, HOUR)), strict=True):
        _fill(path, number, span)
    measured: dict[str, Callable[[], float]] = {}
    for verb, work in (("claim", _claim), ("status", _status)):
        measured |= {f"{verb}, {name}": _timed(path, work) for name, path in paths.items()}
    took = {name: percentile(values, 25) for name, values in in_turn(measured, rounds).items()}
    rows: list[Row] = []
    for name, value in took.items():
        verb, _, which = name.partition(", ")
        most = MOST_RATIO if which != "no events" else None
        rows.append(Row(name, value, "ms", value / took[f"{verb}, no events"], most_ratio=most))
    return Table("(d) the cost of history; lower quartiles, ratio to no history", tuple(rows))


def _timed(path: Path, work: Callable[[Guard], object]) -> Callable[[], float]:
    def measure_one() -> float:
        ours = guard(path, "ann")

        def whole() -> None:
            work(ours)
            ours.store.close()

        took = milliseconds(whole)
        ours.reset()
        ours.store.close()
        return took

    return measure_one


def _claim(ours: Guard) -> None:
    assert ours.failed(None).outcome is Outcome.CLAIMED


def _status(ours: Guard) -> None:
    assert ours.status(ours.read()).view.state.status is Status.PASSING


def _fill(path: Path, events: int, span: float) -> None:
    """A database with that many events, evenly over the last `span` seconds."""
    ours = guard(path, "ann")
    ours.failed(None)
    ours.release(None, gave_up=False, reason="")
    ours.store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM event")
        db.executemany("INSERT INTO event (build, at, value) VALUES (?, ?, ?)", _events(events, span))


def _events(many: int, span: float) -> Iterator[tuple[object, ...]]:
    first = time.time() - span - 60
    claimed = Event(
        Kind.CLAIMED,
        "checkout:here",
        0,
        "",
        failures=("tests/test_app.py::test_one", "tests/test_app.py::test_two"),
        checkout="checkout:here",
        head="1" * 40,
        branch="refs/heads/main",
        after=Status.FIXING,
    )
    fixed = claimed._replace(kind=Kind.FIXED, before=Status.FIXING, after=Status.PASSING)
    for number in range(many):
        event = (claimed, fixed)[number % 2]._replace(number=number // 2, agent=f"agent {number % 7}")
        at = first + span * number / many
        yield "default", at, codec.encode(event._replace(at=at))
