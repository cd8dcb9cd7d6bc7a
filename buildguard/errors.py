"""The exit statuses, in one place; `docs/design.md`, section 9, promises them."""

from enum import IntEnum


class Exit(IntEnum):
    """What a process says when it ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_YOURS = 3
    INCONCLUSIVE = 4
    UNAVAILABLE = 69
    BUG = 70
    BUSY = 75
    INTERRUPTED = 130


class Unidentified(Exception):
    """Nothing tells who is calling. The message is one sentence; what to do about it is the caller's."""
