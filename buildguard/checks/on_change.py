"""The user's own `on-change` command: told what happened after it was written, never waited for, one at a time."""

import errno
import fcntl
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, run
from typing import Final

from buildguard.checks.runner import Command
from buildguard.git import private

LONGEST_QUEUE_SECONDS: Final = 60
LONGEST_RUN_SECONDS: Final = 600
"""How long a command waits for the one before it, and how long it may run; then an event is lost, which is said."""


def tell(command: Command, content: bytes, environment: Mapping[str, str], notes: Path) -> str:
    """Start it with that on its stdin. `notes` is a file of ours for the lock; the failure of an earlier one is
    kept beside it and comes back here, once, in words. Raises `OSError`."""
    failed, said = notes.with_suffix(".failed"), ""
    with suppress(FileNotFoundError):
        said, _ = private.read(failed)
        failed.unlink()
    with tempfile.TemporaryFile() as stdin:
        stdin.write(content)
        stdin.seek(0)
        child = os.fork()
        if child == 0:
            _apart(command, stdin.fileno(), {**environment}, notes, failed)
        os.waitpid(child, 0)
    return said


def _apart(command: Command, stdin: int, environment: dict[str, str], notes: Path, failed: Path) -> None:
    """In a forked process: leave it to another one, which nobody has to reap and who holds nothing of ours."""
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
        for standard in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)
        # Whoever reads what the caller prints must not wait for us.
        for other in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, stdin}:  # noqa: PTH208
            with suppress(OSError):
                os.close(other)
        lock = os.open(notes, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        signal.signal(signal.SIGALRM, _alarmed)
        signal.alarm(LONGEST_QUEUE_SECONDS)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            signal.alarm(LONGEST_RUN_SECONDS)
            done = run(command.argv, stdin=stdin, stdout=DEVNULL, stderr=DEVNULL, env=environment, check=False)
            signal.alarm(0)
            why = f"exit status {done.returncode}" if done.returncode else ""
        except OSError as error:
            why = str(error.strerror)
        if why:
            private.write(failed, f"{why}: {command.text[:200]}".encode(errors="replace"))
    finally:
        os._exit(0)


def _alarmed(*_: object) -> None:
    """`run` ends its command when this leaves it."""
    raise TimeoutError(errno.ETIMEDOUT, "it, or one before it, took too long")
