"""Why the store cannot serve, and what SQLite's errors mean. *Locked* is never taken for *lost*."""

import sqlite3
from enum import Enum
from pathlib import Path
from typing import Any


class Fault(Enum):
    """Why the store cannot serve; each has its own mending command."""

    LOCKED = "locked"
    READ_ONLY = "read-only"
    NOT_A_DATABASE = "not a database"
    NEWER = "newer schema"
    FOREIGN = "foreign"
    DAMAGED = "damaged"
    FULL = "disk full"
    UNREACHABLE = "unreachable"


class Unavailable(Exception):
    """Coordination is unavailable; the check's verdict is not touched by it. The message is one clear line."""

    def __init__(self, fault: Fault, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.fault = fault
        self.path = path


def is_locked(error: BaseException) -> bool:
    """Whether another holds the lock just now, so that it is worth trying again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_NOTADB: Fault.NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_ERROR: Fault.DAMAGED,
    sqlite3.SQLITE_FULL: Fault.FULL,
}


def fault_of(error: sqlite3.Error) -> Fault:
    """The fault that an error of SQLite's stands for."""
    # What SQLite delivers and Python cannot decode has no code.
    code: Any = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return _FAULTS.get(code & 0xFF, Fault.UNREACHABLE)


def in_words(error: sqlite3.Error, bound: float) -> str:
    """The error as the end of a sentence that begins with the file's name; `bound` seconds were tried."""
    words = {
        Fault.LOCKED: f"locked by another process for longer than {bound:g} s",
        Fault.READ_ONLY: "cannot be written",
        Fault.NOT_A_DATABASE: "is not a database",
        Fault.FULL: "the disk is full",
        Fault.DAMAGED: f"is damaged ({error})",
    }
    return words.get(fault_of(error), f"cannot be opened ({error})")
