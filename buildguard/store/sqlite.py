"""The near store: one SQLite file that every work tree of a clone shares. Its SQL is that of SQLite 3.31."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from buildguard.claims.model import Event, Proof, Snapshot, State, Step, Waiter
from buildguard.claims.store import Transition
from buildguard.errors import Fault
from buildguard.store import codec
from buildguard.store.database import Database

T = TypeVar("T")

LOCK_BOUND = 5.0
"""Seconds that a call waits for others' locks."""
POLL_SECONDS = 0.05
"""How often a waiter looks for a new event: 0.13 % of a core."""
TRIES = 20
"""How often a transition is put to rows that have changed."""
MONTH, YEAR = 30 * 24 * 3600.0, 365 * 24 * 3600.0
PROOFS_KEPT, EVENTS_KEPT = 100, 50_000
"""How many there are of a build, at most."""
WAITERS_KEPT = 200
PRUNED_EVERY = 1000
"""After how many events the old ones are deleted."""

APPLICATION = 0x62677264
"""The `application_id` of our files: "bgrd"."""
VERSION = 1
TABLES = f"""
    PRAGMA application_id = {APPLICATION};
    PRAGMA user_version = {VERSION};
    CREATE TABLE build (build TEXT NOT NULL PRIMARY KEY, highest INTEGER NOT NULL);
    CREATE TABLE build_state (
        build TEXT NOT NULL, scope TEXT NOT NULL, value TEXT NOT NULL, updated_at REAL NOT NULL,
        revision INTEGER AS (json_extract(value, '$.revision')),
        status TEXT AS (CASE WHEN json_extract(value, '$.breakage') IS NULL THEN 'passing'
            WHEN json_extract(value, '$.breakage.claim') IS NULL THEN 'broken' ELSE 'fixing' END),
        fixer_agent_id TEXT AS (json_extract(value, '$.breakage.claim.agent')),
        broken_since REAL AS (json_extract(value, '$.breakage.since')),
        last_check REAL AS (json_extract(value, '$.last_check')),
        PRIMARY KEY (build, scope));
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT, build TEXT NOT NULL, at REAL NOT NULL, value TEXT NOT NULL,
        kind TEXT AS (json_extract(value, '$.kind')));
    CREATE INDEX event_of_build ON event (build, id);
    CREATE TABLE proof (
        build TEXT NOT NULL, check_command TEXT NOT NULL, checkout TEXT NOT NULL, files TEXT NOT NULL,
        passed INTEGER NOT NULL, failed TEXT NOT NULL, at REAL NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (build, check_command, checkout, files, passed, failed));
"""

WAITERS = """CREATE TABLE IF NOT EXISTS waiter (
    build TEXT NOT NULL, agent TEXT NOT NULL, checkout TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (build, agent, checkout))"""
"""Made by the first who waits: nobody else needs it."""

_proof = lru_cache(2 * PROOFS_KEPT)(partial(codec.decode, Proof))
"""Most calls read the same proofs twice."""


class _RaceLost(Exception):
    """A row was not at the revision that the transition saw."""


class SqliteStore:
    """A `claims.store.Store` in one file, in which each `repository` has its own part. `clock` gives seconds since
    the epoch; `lock_bound` is that of `Database`."""

    def __init__(
        self,
        path: Path,
        repository: str = "",
        clock: Callable[[], float] = time.time,
        lock_bound: float = LOCK_BOUND,
    ) -> None:
        self._database = Database(path, lock_bound)
        self.where = self._database.where
        self._repository = repository
        self._clock = clock

    def read(self, build: str, fresh: bool = False) -> Snapshot:
        """All scopes of the build, and its proofs, oldest first. Every read is fresh."""
        return self._read(build, self._load) or Snapshot(now=self._clock())

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the state and write what it decided, at the time of the snapshot that it saw."""
        if self._database.read(lambda _: True) is None:
            before = Snapshot(now=self._clock())
            step = transition(before)
            if not step.writes:
                return step, before
        for _ in range(TRIES):
            with suppress(_RaceLost):
                return self._database.change(lambda db: self._apply(db, self._key(build), transition))
        raise self._database.unavailable(Fault.LOCKED, f"could not be written in {TRIES} tries")

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Look for another last event than `since_event` every 50 ms."""
        deadline = time.monotonic() + timeout
        # Not `<=`: after the file was deleted ids begin anew, and a waiter would sleep through every one of them.
        while (self._read(build, _last_event) or 0) == since_event:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_SECONDS, left))
        return True

    def history(self, build: str, limit: int) -> list[Event]:
        """The newest `limit` events of the build, oldest first."""
        return self._read(build, partial(_events, limit=limit)) or []

    def waiters(self, build: str) -> list[Waiter]:
        """Who has said that it waits, longest first."""
        return sorted(self._read(build, _waiters) or [], key=lambda one: one.since)

    def keep_waiter(self, build: str, waiter: Waiter) -> None:
        """Write that it waits. Of those that were killed as they waited, the oldest make room."""
        key = self._key(build)
        statement = """DELETE FROM waiter WHERE build = ? AND rowid NOT IN
            (SELECT rowid FROM waiter WHERE build = ? ORDER BY rowid DESC LIMIT ?)"""

        def write(db: sqlite3.Connection) -> None:
            self._make_tables(db)
            db.execute(WAITERS)
            row = (key, _column(waiter.agent), _column(waiter.checkout), codec.encode(waiter))
            db.execute("INSERT OR REPLACE INTO waiter VALUES (?, ?, ?, ?)", row)
            db.execute(statement, (key, key, WAITERS_KEPT))

        self._database.change(write)

    def drop_waiter(self, build: str, waiter: Waiter) -> None:
        """Write that it waits no more."""
        row = (self._key(build), _column(waiter.agent), _column(waiter.checkout))
        statement = "DELETE FROM waiter WHERE build = ? AND agent = ? AND checkout = ?"
        if self._read(build, _waiters):
            self._database.change(lambda db: db.execute(statement, row))

    def close(self) -> None:
        """Let go of the file. The store may be used again afterwards."""
        self._database.close()

    def _key(self, build: str) -> str:
        # No build has a newline in its name, so no two pairs of repository and build share a key.
        return _column(f"{self._repository}\n{build}" if self._repository else build)

    def _read(self, build: str, work: Callable[[sqlite3.Connection, str], T]) -> T | None:
        """What `work` reads of the build; None where nothing was ever written."""
        return self._database.read(lambda db: work(db, self._key(build)) if self._has_tables(db) else None)

    def _has_tables(self, db: sqlite3.Connection) -> bool:
        """False where the file is empty. Raises `Unavailable` where it is not of this schema."""
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if (application, version) == (APPLICATION, VERSION):
            return True
        fault, detail = Fault.FOREIGN, "is a database of another program or of an older buildguard"
        if application == APPLICATION:
            detail = f"was made by another buildguard (schema {version}; this one knows {VERSION})"
            fault = Fault.NEWER if version > VERSION else Fault.FOREIGN
        elif not (application or version or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
            return False
        raise self._database.unavailable(fault, detail)

    def _make_tables(self, db: sqlite3.Connection) -> None:
        for statement in () if self._has_tables(db) else TABLES.split(";"):
            db.execute(statement)

    def _load(self, db: sqlite3.Connection, key: str) -> Snapshot:
        now = self._clock()
        query = "SELECT value FROM proof WHERE build = ? AND at > ? ORDER BY rowid DESC LIMIT ?"
        rows = db.execute(query, (key, now - MONTH, PROOFS_KEPT)).fetchall()
        proofs = tuple(_proof(value) for (value,) in reversed(rows))
        (highest,) = db.execute("SELECT max(highest) FROM build WHERE build = ?", (key,)).fetchone()
        return Snapshot(
            _states(db, key), proofs, _last_event(db, key), now, codec.read("highest", int, highest or 0)
        )

    def _apply(self, db: sqlite3.Connection, key: str, transition: Transition) -> tuple[Step, Snapshot]:
        before = self._load(db, key) if self._has_tables(db) else Snapshot(now=self._clock())
        step = transition(before)
        if not step.writes:
            return step, before
        self._make_tables(db)
        for state in step.states:
            _write_state(db, key, state, before.now)
        if not all(state.revision for state in step.states):
            # Checkouts come and go: without this, a build would keep a row of each.
            statement = "DELETE FROM build_state WHERE build = ? AND status = 'passing' AND updated_at <= ?"
            db.execute(statement, (key, before.now - MONTH))
        dated = step.events if step.mirrors else (event._replace(at=before.now) for event in step.events)
        events = tuple(_write_event(db, key, event) for event in dated)
        for proof in step.proofs:
            _write_proof(db, key, proof._replace(at=before.now))
        return step._replace(events=events), self._load(db, key)


def _column(text: str) -> str:
    """Text as SQLite takes it: without lone surrogates, which stand for what is not Unicode in a file's name."""
    return text.encode(errors="backslashreplace").decode()


def _last_event(db: sqlite3.Connection, key: str) -> int:
    (last,) = db.execute("SELECT max(id) FROM event WHERE build = ?", (key,)).fetchone()
    return int(codec.read("id", int, last or 0))


def _events(db: sqlite3.Connection, key: str, limit: int) -> list[Event]:
    query = "SELECT id, value FROM event WHERE build = ? ORDER BY id DESC LIMIT ?"
    rows = db.execute(query, (key, limit)).fetchall()
    return [codec.decode(Event, value)._replace(id=number) for number, value in reversed(rows)]


def _waiters(db: sqlite3.Connection, key: str) -> list[Waiter]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'waiter'").fetchone():
        return []
    query = "SELECT value FROM waiter WHERE build = ? LIMIT ?"
    return [codec.decode(Waiter, value) for (value,) in db.execute(query, (key, WAITERS_KEPT))]


def _states(db: sqlite3.Connection, key: str) -> dict[str, State]:
    states = {}
    query = "SELECT scope, value FROM build_state WHERE build = ? LIMIT ?"
    for scope, value in db.execute(query, (key, codec.MOST_ENTRIES)):
        state = codec.decode(State, value)
        # A write would go to another scope's row, or, from revision 0, to none.
        if _column(state.scope) != scope or state.revision < 1:
            raise codec.Garbage(f"scope is {state.scope[:40]!r}, revision is {state.revision}")
        states[state.scope] = state
    return states


def _write_state(db: sqlite3.Connection, key: str, state: State, now: float) -> None:
    row = (codec.encode(state._replace(revision=state.revision + 1)), now, key, _column(state.scope))
    seen: tuple[int, ...] = ()
    statement = "INSERT OR IGNORE INTO build_state (value, updated_at, build, scope) VALUES (?, ?, ?, ?)"
    if state.revision:
        statement = """UPDATE build_state SET value = ?, updated_at = ? WHERE build = ? AND scope = ?
            AND revision = ?"""
        seen = (state.revision,)
    written = db.execute(statement, (*row, *seen))
    if written.rowcount != 1:
        raise _RaceLost
    statement = """INSERT INTO build (build, highest) VALUES (?, ?)
        ON CONFLICT (build) DO UPDATE SET highest = max(highest, excluded.highest)"""
    db.execute(statement, (key, state.number))


def _write_event(db: sqlite3.Connection, key: str, event: Event) -> Event:
    row = (key, event.at, codec.encode(event))
    number = db.execute("INSERT INTO event (build, at, value) VALUES (?, ?, ?)", row).lastrowid or 0
    if number % PRUNED_EVERY == 0:
        # The newest of each build stays, however old: its states name ids up to that.
        statement = """DELETE FROM event WHERE id IN (SELECT id FROM
            (SELECT id, at, row_number() OVER (PARTITION BY build ORDER BY id DESC) AS place FROM event)
            WHERE place > ? OR (place > 1 AND at <= ?))"""
        db.execute(statement, (EVENTS_KEPT, event.at - YEAR))
    return event._replace(id=number)


def _write_proof(db: sqlite3.Connection, key: str, proof: Proof) -> None:
    """Write a proof in the place of an older one that shows the same."""
    shown = (_column(proof.check), _column(proof.checkout), proof.files, proof.passed, proof.failed)
    statement = "INSERT OR REPLACE INTO proof VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    db.execute(statement, (key, *shown, proof.at, codec.encode(proof)))
    # Newest is what was written last: the proofs of a clock that once ran ahead would push out all others.
    statement = """DELETE FROM proof WHERE build = ? AND (at <= ? OR rowid NOT IN
        (SELECT rowid FROM proof WHERE build = ? ORDER BY rowid DESC LIMIT ?))"""
    db.execute(statement, (key, proof.at - MONTH, key, PROOFS_KEPT))
