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


class GitFault(Exception):
    """Git did not answer as hoped. The message is one clear line; `next_command` mends it, if anything does."""

    def __init__(self, message: str, next_command: str | None = None) -> None:
        super().__init__(message)
        self.next_command = next_command
