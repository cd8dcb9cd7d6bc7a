"""A register in one table of a PostgreSQL database: a row for each key, compared and swapped by its version.

A version is a random name and no count: a server that was set back to an older copy would count the same again.
Each write is one statement, which holds no lock when the line breaks.
"""

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from buildguard.store.register import Denied, Kept, Lost, Unreachable

if TYPE_CHECKING:
    from psycopg import Connection, Error

POSTGRES_LOOK_SECONDS, POSTGRES_WRITE_SECONDS = 8.0, 10.0
"""How long the server may take to answer; to connect, 2 s at least."""
_ADDRESS = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<place>[^@/?#]*(?:/[^@/?#]*)?)(?P<options>\?[^@#]*)?"
)
_BUSY = re.compile(r"starting up|shutting down|recovery|too many|connection slots")
"""Why a server turns a connection away for a while: libpq tells no code of it."""
_CLOCK = "SELECT NULL, NULL, extract(epoch FROM clock_timestamp())::float8"
_LOAD = """
SELECT version::text, CASE WHEN version <> %(known)s THEN left(data::text, 8000001) END,
    extract(epoch FROM clock_timestamp())::float8
FROM (SELECT) AS one LEFT JOIN buildguard_1 ON key = %(key)s
"""
_TABLE = """
CREATE TABLE IF NOT EXISTS buildguard_1 (
    key text PRIMARY KEY, version text NOT NULL, data text NOT NULL,
    about text NOT NULL, written timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
# What is not written by the end of the time-out never is. LOCAL: behind a pooler the next transaction is another's.
_WRITE = """
SET LOCAL statement_timeout = '8s';
WITH written AS ({} RETURNING key)
SELECT pg_notify('buildguard_1', key), NULL, extract(epoch FROM clock_timestamp())::float8 FROM written
"""
_CREATE = _WRITE.format("""
INSERT INTO buildguard_1 (key, version, data, about) VALUES (%(key)s, %(version)s, %(data)s, %(about)s)
ON CONFLICT DO NOTHING
""")
_SWAP = _WRITE.format("""
UPDATE buildguard_1 SET version = %(version)s, data = %(data)s, about = %(about)s, written = clock_timestamp()
WHERE key = %(key)s AND version = %(known)s
""")
_Row = tuple[Any, ...]


class _NoTable(Exception):
    """Nobody has written anything yet."""


class Postgres:
    """A `Register` in the database at a `postgresql://` address. Opens nothing before the first call."""

    poll = 2.0

    def __init__(self, address: str) -> None:
        self._address = _ADDRESS.fullmatch(address)
        # Without the user's part and the options: a password would come out with every message.
        self.where = f"postgresql://{self._address['place'] if self._address else '…'}"
        self._connection: Connection | None = None
        self._listens, self._look_at = False, 0.0

    def load(self, key: str, known: Kept = Kept()) -> Kept:  # noqa: B008
        """The document as it is now. Needs no right to write."""
        deadline = _deadline(POSTGRES_LOOK_SECONDS)
        try:
            row = self._answer(_LOAD, {"key": key, "known": known.token}, deadline)
        except _NoTable:
            row = self._answer(_CLOCK, {}, deadline)
        token, data, now = row or (None, None, None)
        if token is None:
            return Kept(now=now)
        return known._replace(now=now) if token == known.token else Kept(token, data, now)

    def swap(self, key: str, expected: Kept, data: str, about: str) -> Kept:
        """Put `data` in the place of the version that is `expected`, in one statement."""
        statement, deadline = _SWAP if expected.token else _CREATE, _deadline(POSTGRES_WRITE_SECONDS)
        version = os.urandom(16).hex()
        values = {"key": key, "known": expected.token, "version": version, "data": data, "about": about}
        try:
            row = self._answer(statement, values, deadline, sent=True)
        except _NoTable:
            # Of two that make it at once one fails, and the table is there.
            with suppress(Lost):
                self._answer(_TABLE, {}, deadline)
            row = self._answer(statement, values, deadline, sent=True)
        if row is None:
            raise Lost
        return Kept(version, data, row[2])

    def changed(self, key: str, known: Kept, timeout: float) -> bool:
        """Wait until another version stands there; behind a pooler nobody wakes us, hence a look each `poll`."""
        deadline = time.monotonic() + timeout
        with suppress(Unreachable, Denied):
            while True:
                over = time.monotonic() >= deadline
                if not self._listens:
                    self._answer("LISTEN buildguard_1", {}, _deadline(POSTGRES_LOOK_SECONDS))
                    # What was written before that wakes nobody.
                    self._listens, self._look_at = True, 0.0
                if time.monotonic() >= self._look_at:
                    if self.load(key, known).token != known.token:
                        return True
                    self._look_at = time.monotonic() + self.poll
                if over:
                    break
                if self._heard(min(deadline, self._look_at) - time.monotonic()):
                    self._look_at = 0.0
        return False

    def close(self) -> None:
        """Let go of the connection; the next call opens another."""
        connection, self._connection, self._listens = self._connection, None, False
        if connection is not None:
            connection.close()

    def _heard(self, seconds: float) -> bool:
        """Whether somebody says within that time that a document was written, or the line breaks."""
        try:
            words = self._connection.notifies(timeout=max(0.0, seconds), stop_after=1) if self._connection else ()
            return bool(list(words))
        except _driver().Error:
            self.close()
            return True

    def _answer(
        self, statement: str, values: Mapping[str, str], deadline: float, sent: bool = False
    ) -> _Row | None:
        """The row that the last of these statements answers with. `sent`: they write."""
        kept, connection = self._connection is not None, self._connection or self._connected(deadline)
        self._connection = connection
        try:
            with _shut_at(connection.fileno(), deadline):
                cursor = connection.execute(statement, values)
                while cursor.nextset():
                    pass
                return cursor.fetchone() if cursor.description else None
        except _driver().Error as error:
            fault = _fault(error, sent)
        if connection.closed:
            self.close()
            if time.monotonic() >= deadline:
                raise Unreachable("it did not answer in time", sent)
            if kept and isinstance(fault, Unreachable) and not fault.sent:
                # The connection of an earlier call may have died long ago.
                return self._answer(statement, values, deadline, sent)
        raise fault

    def _connected(self, deadline: float) -> "Connection":
        psycopg, found = _driver(), self._address
        if found is None:
            raise Denied("its address is not postgresql://USER@HOST/DATABASE, or has signs to be written as %40")
        hosts, left = found["place"].count(",") + 1, deadline - time.monotonic()
        try:
            connection: Connection = psycopg.Connection.connect(
                f"postgresql://{found['place']}{found['options'] or ''}",
                user=unquote(found["user"] or "") or None,
                password=unquote(found["password"] or "") or None,
                connect_timeout=max(2, int(left / hosts)),
                application_name="buildguard",
                autocommit=True,
                # Nothing is kept on the server: behind a pooler the next call meets another one.
                prepare_threshold=None,
                cursor_factory=psycopg.ClientCursor,
            )
        except psycopg.OperationalError as error:
            words = _words(error)
            raise Denied(words) if "FATAL" in words and not _BUSY.search(words) else Unreachable(words) from None
        except psycopg.Error:
            # Its words may hold a part of the address.
            raise Denied("its address has something that libpq does not understand") from None
        return connection


def _driver() -> ModuleType:
    """psycopg, which only those install who need it: its import takes 0.1 s."""
    try:
        import psycopg
    except ImportError:
        raise Denied(f"psycopg is missing: {sys.executable} -m pip install 'psycopg[binary]'") from None
    return psycopg


def _deadline(seconds: float) -> float:
    """That many seconds from now, once the driver is there: on a busy machine its import takes longer than that."""
    _driver()
    return time.monotonic() + seconds


def _fault(error: "Error", sent: bool) -> Exception:
    """What the server's refusal, or the end of the line, is to the caller."""
    code = error.sqlstate or "08000"
    if code == "42P01":
        return _NoTable()
    if code in ("40001", "40P01", "23505", "42P07", "42710"):  # somebody else was first
        return Lost()
    away = code[:2] in ("08", "57") or code in ("53300", "55P03")
    # A write that the server says it has ended is undone.
    return Unreachable(_words(error), sent and not error.sqlstate) if away else Denied(_words(error))


def _words(error: "Error") -> str:
    """The server's word, or libpq's without its advice, in one line."""
    lines = (error.diag.message_primary or str(error)).split("\n")
    words = " ".join(line.strip() for line in lines if not line.startswith("\t"))
    return words.removeprefix("connection failed: ").strip()


@contextmanager
def _shut_at(descriptor: int, deadline: float) -> Iterator[None]:
    """Shut that socket then: neither psycopg nor TCP ends the wait for a server that keeps the line in silence."""

    def shut() -> None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    with socket.socket(fileno=os.dup(descriptor)) as line:
        timer = threading.Timer(deadline - time.monotonic(), shut)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
