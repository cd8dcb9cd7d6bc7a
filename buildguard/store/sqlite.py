"""The store: one SQLite file that every work tree of a clone shares.

A rollback journal with full sync, not WAL: a WAL database cannot be read from a read-only folder, which is all
that a sandboxed agent may have. SQLite's own busy handler is off, because it starves one of two writers for
seconds under load; a jittered retry of ours takes its place. *Locked* is never taken for *lost*.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from buildguard.claims.model import Event, Silence, Snapshot, State, Step
from buildguard.store import codec as schema
from buildguard.store.faults import Fault, Unavailable, fault_of, in_words, is_locked

LOCK_BOUND = 5.0
"""Seconds that a call goes on trying while others hold the database's lock."""
LOCKED_AGAIN_BOUND = 0.1
"""The same after a call that tried in vain, until one succeeds: a hook that makes five calls waits once."""
RETRY_SECONDS = (0.001, 0.010)
POLL_SECONDS = 0.05
"""How often a waiter looks for a new event: 0.13 % of a core."""
EVIDENCE_SECONDS = 24 * 3600.0
EVIDENCE_KEPT = 100

Transition = Callable[[Snapshot], Step]
T = TypeVar("T")


class _RaceLost(Exception):
    """A row was not at the revision that the transition saw."""


class _Outdated(Exception):
    """The file has the schema of an older buildguard."""


class Store:
    """State, history and evidence of builds, shared by processes.

    `repository` keeps apart the repositories that share one file; `clock` gives seconds since the epoch.
    Where the file cannot serve, every method raises `Unavailable` and nothing else.
    """

    def __init__(
        self,
        path: Path,
        repository: str = "",
        clock: Callable[[], float] = time.time,
        lock_bound: float = LOCK_BOUND,
    ) -> None:
        self.path = path.absolute()
        # No build has a newline in its name, so no two pairs of repository and build share a key.
        self._prefix = f"{repository}\n" if repository else ""
        self._clock = clock
        self._lock_bound = lock_bound
        self._patience = lock_bound
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def read(self, build: str) -> Snapshot:
        """All scopes of the build. Needs no right to write; a database that is not there yet is empty."""
        found = self._look(lambda db: self._load(db, self._key(build)))
        return found or Snapshot(now=self._clock())

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put a pure transition to the state and write what it decided, in one transaction. The transition may
        be called again on fresh state. Returns its step and the snapshot as it stands afterwards."""
        with self._faults():
            self._open(create=True)
            while True:
                try:
                    return self._transact(
                        "BEGIN IMMEDIATE", lambda db: self._apply(db, self._key(build), transition)
                    )
                except _RaceLost:
                    continue

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Wait until the build's last event is another than `since_event`, at most `timeout` seconds. Holds no
        lock while it sleeps; needs no right to write."""
        deadline = time.monotonic() + timeout
        # Not `<=`: after the file was deleted ids begin anew, and a waiter would sleep through every one of them.
        while (self._look(lambda db: self._last_event(db, self._key(build))) or 0) == since_event:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_SECONDS, left))
        return True

    def history(self, build: str, limit: int, fixes: bool = False) -> list[Event]:
        """The newest `limit` events of the build, or only of its `fixes`; oldest first. Needs no right to write."""
        statement = schema.SELECT_FIXES if fixes else schema.SELECT_EVENTS
        return self._look(lambda db: self._events(db, statement, self._key(build), limit)) or []

    def close(self) -> None:
        """Let go of the file. The store may be used again afterwards."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _key(self, build: str) -> object:
        return schema.stored(self._prefix + build)

    def _look(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` reads; None where there is no file."""
        with self._faults():
            if not self._open(create=False):
                return None
            try:
                return self._transact("BEGIN", work)
            except _Outdated:
                self._transact("BEGIN IMMEDIATE", self._bring_up)
                return self._transact("BEGIN", work)

    def _open(self, create: bool) -> bool:
        """Connect when first needed. False where there is no file and none may be made."""
        inode = self.path.stat().st_ino if self.path.exists() else 0
        if self._connection is not None and inode != self._inode:
            # The file was deleted under us: nobody would ever read what is written to the old one.
            self.close()
        if self._connection is None:
            if not (inode or create):
                return False
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        if create and self._transact("BEGIN", _version) < schema.VERSION:
            self._transact("BEGIN IMMEDIATE", self._bring_up)
        self._inode = self.path.stat().st_ino
        return True

    def _transact(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction, again from its beginning while others hold the lock, up to the bound."""
        deadline = time.monotonic() + self._patience
        while True:
            connection = self._connection
            if connection is None:
                raise sqlite3.ProgrammingError("no open connection")
            try:
                connection.execute(begin)
                done = work(connection)
                self._commit(connection, deadline)
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if not is_locked(error):
                    raise
                if time.monotonic() >= deadline:
                    self._patience = min(LOCKED_AGAIN_BOUND, self._lock_bound)
                    raise
            else:
                self._patience = self._lock_bound
                return done
            time.sleep(_jitter())

    def _commit(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Commit, waiting for readers to end. Rolling back instead would let new readers in and starve us. They are
        soon done and everybody else waits for us: no jitter, the shortest pause."""
        while True:
            try:
                connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(RETRY_SECONDS[0])
            else:
                return

    def _bring_up(self, db: sqlite3.Connection) -> None:
        """Make the tables, or bring those of an older buildguard to this one's schema."""
        version = _version(db)
        if version == 0 or not db.execute(schema.SELECT_OWN_TABLE).fetchone():
            self._refuse_foreign(db)
        for statements in schema.STEPS[version:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {max(version, schema.VERSION)}")

    def _load(self, db: sqlite3.Connection, key: object) -> Snapshot:
        now = self._clock()
        if not self._known_version(db):
            return Snapshot(now=now)
        rows = db.execute(schema.SELECT_EVIDENCE, (key, now - EVIDENCE_SECONDS))
        evidence = tuple(schema.evidence_of(row) for row in rows)
        return self._with_states(db, key, Snapshot(now=now))._replace(evidence=evidence)

    def _with_states(self, db: sqlite3.Connection, key: object, snapshot: Snapshot) -> Snapshot:
        now = snapshot.now
        states = [schema.state_of(row) for row in db.execute(schema.SELECT_STATES, (key,))]
        return snapshot._replace(
            states={state.scope: state for state in states},
            silences={
                state.scope: Silence(max(0.0, now - state.claim.seen_at), max(0.0, now - state.claim.claimed_at))
                for state in states
                if state.claim is not None
            },
            last_event=self._last_event(db, key),
        )

    def _last_event(self, db: sqlite3.Connection, key: object) -> int:
        if not self._known_version(db):
            return 0
        return int(db.execute(schema.SELECT_LAST_EVENT, (key,)).fetchone()[0] or 0)

    def _events(self, db: sqlite3.Connection, statement: str, key: object, limit: int) -> list[Event]:
        if not self._known_version(db):
            return []
        rows = db.execute(statement, (key, limit)).fetchall()
        return [schema.event_of(row) for row in reversed(rows)]

    def _known_version(self, db: sqlite3.Connection) -> int:
        version = _version(db)
        # Other programs count their schemas, too: without our table it is one of theirs.
        if version == 0 or (version > schema.VERSION and not db.execute(schema.SELECT_OWN_TABLE).fetchone()):
            self._refuse_foreign(db)
        if version > schema.VERSION:
            detail = f"was made by a newer buildguard (schema {version}; this one knows {schema.VERSION})"
            raise Unavailable(Fault.NEWER, self.path, detail)
        if 0 < version < schema.VERSION:
            raise _Outdated
        return version

    def _refuse_foreign(self, db: sqlite3.Connection) -> None:
        if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise Unavailable(Fault.FOREIGN, self.path, "is a database of another program")

    def _apply(self, db: sqlite3.Connection, key: object, transition: Transition) -> tuple[Step, Snapshot]:
        before = self._load(db, key)
        step = transition(before)
        for state in step.states:
            self._write_state(db, key, state)
        for event in step.events:
            db.execute(schema.INSERT_EVENT, (key, self._clock(), *schema.event_values(event)))
        for used in step.used:
            db.execute(schema.DELETE_EVIDENCE, (key, *schema.evidence_key(used)))
        for found in step.evidence:
            db.execute(schema.INSERT_EVIDENCE, (key, *schema.evidence_values(found, self._clock())))
        if step.evidence:
            db.execute(schema.PRUNE_EVIDENCE, (key, self._clock() - EVIDENCE_SECONDS, key, EVIDENCE_KEPT))
        if step.events or step.evidence or step.used:
            return step, self._load(db, key)
        # A sign of life leaves the evidence as it was.
        return step, self._with_states(db, key, before._replace(now=self._clock()))

    def _write_state(self, db: sqlite3.Connection, key: object, state: State) -> None:
        values = schema.state_values(state)
        if state.revision == 0:
            changed = db.execute(schema.INSERT_STATE, (*values, key))
        else:
            changed = db.execute(schema.UPDATE_STATE, (*values, key, schema.stored(state.scope), state.revision))
        if changed.rowcount != 1:
            raise _RaceLost

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn whatever can go wrong with the file into `Unavailable`, in one clear line."""
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(fault_of(error), self.path, in_words(error, self._lock_bound)) from error
        except OSError as error:
            fault = Fault.FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Fault.UNREACHABLE
            raise Unavailable(fault, self.path, self._why(error)) from error
        except schema.Garbage as error:
            raise Unavailable(Fault.DAMAGED, self.path, f"holds what buildguard did not write ({error})") from error

    def _why(self, error: OSError) -> str:
        what = "cannot be opened" if error.filename in (None, str(self.path)) else "its folder cannot be made"
        return f"{what} ({error.strerror or error})"


def _jitter() -> float:
    """Seconds to the next try. Not from `random`: its import is the dearer part of a passing hook."""
    least, most = RETRY_SECONDS
    return least + (most - least) * os.urandom(1)[0] / 255


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
