"""One SQLite file: opened with care, read and changed in transactions, and never silent about what is wrong.

A rollback journal with full sync, not WAL: a WAL database cannot be read from a read-only folder, which is all
that a sandboxed agent may have. SQLite's own busy handler is off, because it starves one of two writers for
seconds under load; a jittered retry of ours takes its place. *Locked* is never taken for *lost*.
"""

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from buildguard.errors import Fault, Unavailable
from buildguard.store import codec

T = TypeVar("T")

LOCKED_AGAIN_BOUND = 0.1
"""Seconds that a call waits for a lock after one that waited in vain: a hook that makes five calls waits once."""
RETRY_SECONDS = (0.001, 0.010)

WORK_SECONDS = 10.0
"""How long SQLite may compute in one transaction: a table may be a view that somebody put there, without an end."""
_STEPS = 1_000_000
"""Of SQLite's virtual machine, between two looks at the clock."""

OURS = "buildguard"
"""The name of the folder in git's own that only we write to."""

_LS, _ASIDE = ("ls", "-ld", "{folder}", "{path}"), ("mv", "{path}", "{path}.set-aside")
_NEXT = {
    Fault.FOREIGN: _LS,
    Fault.NEWER: ("buildguard", "--version"),
    Fault.LOCKED: ("fuser", "-v", "{path}"),
    Fault.FULL: ("df", "-h", "{folder}"),
    Fault.READ_ONLY: _LS,
    Fault.UNREACHABLE: _LS,
}
"""The command that mends a fault or shows why it is there; one that is of no use, and ours, is set aside."""
_DAMAGED = (Fault.DAMAGED, "is damaged ({error})")
_FULL = (Fault.FULL, "the disk is full")
_FAULTS = {
    sqlite3.SQLITE_BUSY: (Fault.LOCKED, "locked by another process for longer than {bound:g} s"),
    sqlite3.SQLITE_READONLY: (Fault.READ_ONLY, "cannot be written"),
    sqlite3.SQLITE_NOTADB: (Fault.FOREIGN, "is not a database"),
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_INTERRUPT: (Fault.DAMAGED, f"takes longer than {WORK_SECONDS:g} s to read"),
    **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG), _DAMAGED),
}
"""What an error of SQLite's stands for, and the end of the sentence that begins with the file's name."""
_OTHER = (Fault.UNREACHABLE, "cannot be opened ({error})")


class Database:
    """The file at `path`. Where it cannot serve, every method raises `Unavailable` and nothing else of its own.
    `bound` is how many seconds a call goes on trying while others hold the lock."""

    def __init__(self, path: Path, bound: float) -> None:
        self._path = path.absolute()
        self.where = str(self._path)
        self._bound = self._patience = bound
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._until = 0.0

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` reads in one transaction; None where there is no file. Needs no right to write."""
        with self._faults():
            connection = self._opened()
            return self._transact(connection, "BEGIN", work) if connection else None

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction, which is begun anew while others hold the lock."""
        with self._faults():
            return self._transact(self._opened() or self._created(), "BEGIN IMMEDIATE", work)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection | None:
        """The connection; None where there is no file. A link may lead to another's, and to open a pipe never
        ends: neither is opened."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise self.unavailable(Fault.UNREACHABLE, "is a link or a folder or a device, not a file")
        self._refuse_what_is_beside()
        if found.st_ino != self._inode:
            # The file was deleted under us: nobody would ever read what is written to the old one.
            self.close()
        if self._connection is None:
            path = self.where.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            # Without `mode=rw` SQLite would make a file that is deleted just now again, and follow a link to do so.
            self._connection = sqlite3.connect(f"file://{path}?mode=rw", uri=True, timeout=0, isolation_level=None)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, codec.LARGEST)
            self._connection.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)
            self._inode = found.st_ino
        return self._connection

    def _refuse_what_is_beside(self) -> None:
        """SQLite opens these itself: it would wait for ever for the writer of a pipe."""
        for suffix in ("-journal", "-wal"):
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.lstat(f"{self.where}{suffix}").st_mode):
                    raise self.unavailable(Fault.UNREACHABLE, f"has a {suffix} beside it that is no file")

    def _created(self) -> sqlite3.Connection:
        """The connection to a new and empty file. Others may make it, or its folder, at the same time."""
        folder = self._path.parent
        if folder.name == OURS and folder.is_symlink():
            raise self.unavailable(Fault.UNREACHABLE, "lies in a folder that is a link")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            if _shared(folder.parent):
                folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))
        with suppress(FileExistsError):
            file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            if _shared(folder):
                os.fchmod(file, folder.stat().st_mode & 0o664)
            os.close(file)
        return self._opened() or self._created()

    def _transact(self, db: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction, again from its beginning while others hold the lock, up to the bound."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._until = time.monotonic() + WORK_SECONDS
                db.execute(begin)
                done = work(db)
                _commit(db, deadline)
            except BaseException as error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if not _is_locked(error):
                    raise
                if time.monotonic() >= deadline:
                    self._patience = min(LOCKED_AGAIN_BOUND, self._bound)
                    raise
            else:
                self._patience = self._bound
                return done
            # The jitter is not from `random`: its import is the dearer part of a passing hook.
            least, most = RETRY_SECONDS
            time.sleep(least + (most - least) * os.urandom(1)[0] / 255)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (codec.Garbage, UnicodeDecodeError) as error:
            # The latter is what Python makes of SQLite's own message where that quotes broken text.
            raise self.unavailable(Fault.DAMAGED, f"holds what buildguard did not write ({error})") from error
        except sqlite3.Error as error:
            # SQLite quotes names out of the file, which may hold anything.
            raise self._faulty(*_FAULTS.get(_code(error), _OTHER), ascii(str(error)[:80])[1:-1]) from error
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise self._faulty(*(_FULL if full else _OTHER), error.strerror) from error

    def _faulty(self, fault: Fault, words: str, error: str | None) -> Unavailable:
        return self.unavailable(fault, words.format(error=error, bound=self._bound))

    def unavailable(self, fault: Fault, detail: str) -> Unavailable:
        """The fault, with the next command."""
        from shlex import join  # What a passing hook does not need.

        names = {"path": self.where, "folder": str(self._path.parent)}
        # Whatever lies at the place that only we write to may go; a mistyped path may lead to anybody's database.
        ours = fault is Fault.FOREIGN and self._path.parent.name == OURS
        command = [word.format_map(names) for word in (_ASIDE if ours else _NEXT.get(fault, _ASIDE))]
        return Unavailable(fault, self.where, detail, join(command))


def _shared(folder: Path) -> bool:
    """Whether it is as git makes one that a group shares (`core.sharedRepository`)."""
    return folder.stat().st_mode & (stat.S_ISGID | stat.S_IWGRP) == stat.S_ISGID | stat.S_IWGRP


def _commit(db: sqlite3.Connection, deadline: float) -> None:
    """Commit, waiting for readers to end: to roll back would let new readers in and starve us. They are soon done
    and everybody else waits for us: no jitter, the shortest pause."""
    while db.in_transaction:
        try:
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_SECONDS[0])


def _code(error: BaseException) -> int:
    # What SQLite delivers and Python cannot decode has no code.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF


def _is_locked(error: BaseException) -> bool:
    """Whether another holds the lock just now, so that it is worth trying again."""
    return _code(error) == sqlite3.SQLITE_BUSY
