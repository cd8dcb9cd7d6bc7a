"""What can go wrong across rooms, and the exit statuses; `docs/reference.md` promises the numbers."""

from enum import Enum, IntEnum
from pathlib import Path


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


class SettingsError(ValueError):
    """A setting or an option is wrong; the message is one line that names where it stands and what is wrong."""

    def __init__(self, message: str, next_command: str = "buildguard --help") -> None:
        super().__init__(message)
        self.next_command = next_command


class GitFault(Exception):
    """Git did not answer as hoped. The message is one clear line; `next_command` mends it, if anything does."""

    def __init__(self, message: str, next_command: str | None = None) -> None:
        super().__init__(message)
        self.next_command = next_command


class Distrusted(GitFault):
    """The repository belongs to somebody else, and git will not use it; neither will we run its check."""


class Unidentified(Exception):
    """Nothing tells who is calling. The message is one sentence; what to do about it is the caller's."""


class Fault(Enum):
    """Why a store cannot serve."""

    LOCKED = "locked"
    READ_ONLY = "read-only"
    FOREIGN = "not a store of buildguard"
    NEWER = "newer"
    DAMAGED = "damaged"
    FULL = "full"
    UNREACHABLE = "unreachable"


class Unavailable(Exception):
    """Coordination is unavailable; the check's verdict is not touched by it. The message is one clear line. `where`
    names the store, `next_command` mends it, if anything does."""

    def __init__(self, fault: Fault, where: str, detail: str, next_command: str | None = None) -> None:
        super().__init__(f"{where}: {detail}")
        self.fault = fault
        self.where = where
        self.next_command = next_command


def report_bug(error: BaseException) -> Path:
    """Write what is known of a bug of ours into a file that is ready to be reported, and return where it is. The
    path of the null device if there is no room for it."""
    import os
    import platform
    import sys
    import tempfile
    import traceback
    from importlib import metadata

    try:
        version = metadata.version("git-buildguard")
    except metadata.PackageNotFoundError:
        version = "from a source tree"
    lines = (
        "# buildguard: bug report",
        f"- version: {version}",
        f"- python: {sys.version}",
        f"- platform: {platform.platform()}",
        f"- command: {sys.argv}",
        "```",
        "".join(traceback.format_exception(error)),
        "```",
    )
    try:
        descriptor, name = tempfile.mkstemp(prefix="buildguard-bug-", suffix=".md")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as report:
            report.write("\n".join(lines))
    except OSError:
        return Path(os.devnull)
    return Path(name)
