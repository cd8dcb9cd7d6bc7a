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

from benchmarks.table import Row, Table, in_turn, milliseconds, percentile

from buildguard.agents.identity import Agent
from buildguard.claims.guard import Guard
from buildguard.claims.model import Event, Outcome, Status
from buildguard.store import codec as schema
from buildguard.store.sqlite import Store

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
        guard = _guard(path)

        def whole() -> None:
            work(guard)
            guard.store.close()

        took = milliseconds(whole)
        guard.reset()
        guard.store.close()
        return took

    return measure_one


def _claim(guard: Guard) -> None:
    assert guard.failed(None).outcome is Outcome.CLAIMED


def _status(guard: Guard) -> None:
    assert guard.status().view.state.status is Status.PASSING


def _fill(path: Path, events: int, span: float) -> None:
    """A database with that many events, evenly over the last `span` seconds."""
    guard = _guard(path)
    guard.failed(None)
    guard.release(None, gave_up=False, reason="")
    guard.store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM event")
        db.executemany(schema.INSERT_EVENT, _events(events, span))


def _events(many: int, span: float) -> Iterator[tuple[object, ...]]:
    first = time.time() - span - 60
    for number in range(many):
        kind, before, after = (
            (Outcome.FIXED, Status.FIXING, Status.PASSING)
            if number % 2
            else (Outcome.CLAIMED, Status.PASSING, Status.FIXING)
        )
        event = Event(
            kind,
            "checkout:.git",
            before,
            after,
            number // 2,
            f"agent {number % 7}",
            failures=("tests/test_app.py::test_one", "tests/test_app.py::test_two"),
            checkout="checkout:.git",
            head="1" * 40,
            tree="2" * 40,
            branch="refs/heads/main",
        )
        yield "default", first + span * number / many, *schema.event_values(event)


def _guard(path: Path) -> Guard:
    return Guard(Store(path), "default", "checkout:.git", lambda: Agent("ann", "--agent", None), 900.0, 3600.0)
