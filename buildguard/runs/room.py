"""All runs of one user in one checkout: found, begun, reused, and swept."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from buildguard.checks.runner import Order, Verdict
from buildguard.git import private
from buildguard.git.files import Watched
from buildguard.runs.ending import RESULT, Ending, found
from buildguard.runs.looking_on import LOG, STDERR_LOG, Onlooker, held
from buildguard.runs.output_log import Beginning, create, read_beginning, write_beginning
from buildguard.runs.serving import OUTLIVES, WATCH, serve

MOST_RUNS: Final = 20
LONGEST_REUSE: Final = 600.0
"""How many runs that have ended are kept, and how long."""
_PATIENCE: Final = 1.0
"""Seconds to wait for somebody else who looks for a run or begins one."""


class Room:
    """The folder with the runs of a user. A run's own folder is named after its check, its key, and at random."""

    def __init__(self, git_dir: Path, check: str) -> None:
        """`check` names the check, whatever files it runs on. Raises `OSError` if there is no room for runs."""
        self._folder = str(private.folder(git_dir, "runs") / str(os.getuid()))
        self._check = check
        with suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)  # noqa: PTH102  this and below: a passing hook has no time for paths
        mode = os.lstat(self._folder)
        if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != os.getuid() or mode.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "not a folder of our own", self._folder)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else looks for a run, or begins one. Raises `OSError` if that cannot be had soon."""
        lock = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if not private.locked(lock, time.monotonic() + _PATIENCE):
                raise BlockingIOError(errno.EWOULDBLOCK, "somebody else begins a run", self._folder)
            yield
        finally:
            # Said so, for a runner that was forked meanwhile has it, too.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def joined(self, key: str) -> tuple[Onlooker, Beginning] | None:
        """Look on a run with that key, if one goes on that was not begun above us; or on one that has ended, if its
        caller could not wait for the verdict, and nobody has fetched that."""
        for name in self._names(key):
            ended = os.path.lexists(f"{self._folder}/{name}/{RESULT}")
            if ended and not os.path.lexists(f"{self._folder}/{name}/{OUTLIVES}"):
                continue
            with suppress(OSError, ValueError):
                onlooker = Onlooker(f"{self._folder}/{name}")
                if (ended or onlooker.runs) and (head := onlooker.beginning()).process not in _above():
                    if ended:
                        os.unlink(f"{self._folder}/{name}/{OUTLIVES}")  # noqa: PTH108
                    return onlooker, head
                onlooker.close()
        return None

    def begun(
        self, key: str, order: Order, head: Beginning, look: Callable[[], Watched], slot: int = -1
    ) -> Onlooker:
        """Begin a run with that key, as its first onlooker; its runner keeps the slot open. Raises `OSError`, also
        where files cannot be locked."""
        self._sweep(key)
        folder = f"{self._folder}/{self._check}{key}-{os.urandom(6).hex()}"
        os.mkdir(folder, 0o700)  # noqa: PTH102
        opened = [slot] if slot >= 0 else []
        try:
            opened.append(log := create(f"{folder}/{LOG}"))
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_beginning(log, head)
            if not os.path.sameopenfile(order.stdout, order.stderr):
                opened.append(create(f"{folder}/{STDERR_LOG}"))
            logs = log, opened[-1]
            os.close(create(f"{folder}/{WATCH}"))
            told, tells = os.pipe()
            opened.append(tells)
            onlooker = Onlooker(folder, told)
            onlooker.runner = os.fork()
            if not onlooker.runner:
                serve(folder, logs, (tells, slot), order, look)
            write_beginning(log, head._replace(process=onlooker.runner))
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return onlooker

    def passed(self, key: str, since: float) -> tuple[Ending, Beginning] | None:
        """A pass with that key that ended after `since`, on files that did not change meanwhile, and after which
        this check has not failed here."""
        if not self._names(key):
            return None
        runs = [(ending, name) for name in self._names() if (ending := found(f"{self._folder}/{name}"))]
        runs.sort(key=lambda run: run[0].ended)
        for ending, name in reversed(runs):
            if ending.result.verdict is Verdict.FAILED:
                break
            good = ending.result.verdict is Verdict.PASSED and ending.watched.steady
            if good and name.startswith(f"{self._check}{key}") and since < ending.ended <= time.time():
                with suppress(OSError, ValueError):
                    log = os.open(f"{self._folder}/{name}/{LOG}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        return ending, read_beginning(log)
                    finally:
                        os.close(log)
        return None

    def _names(self, key: str = "") -> list[str]:
        return [name for name in os.listdir(self._folder) if name.startswith(f"{self._check}{key}")]  # noqa: PTH208

    def _sweep(self, key: str) -> None:
        """Delete what has ended long ago, or is about to be run again, and of the rest the oldest."""
        with os.scandir(self._folder) as entries:
            runs = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        now = time.time()
        aged = sorted((entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in runs)
        for place, (at, path) in enumerate(aged):
            again = path.startswith(f"{self._folder}/{self._check}{key}")
            if again or place < len(aged) - MOST_RUNS or not 0 <= now - at < LONGEST_REUSE:
                _delete(path)


def _delete(folder: str) -> None:
    """Delete the folder of a run, unless it is still run, or somebody has yet to read how it ended."""
    with suppress(OSError):
        for name in (LOG, WATCH):
            with suppress(FileNotFoundError), open(f"{folder}/{name}", "r+b", 0) as file:
                if held(file.fileno(), fcntl.LOCK_EX):
                    return
        for name in os.listdir(folder):  # noqa: PTH208
            os.unlink(f"{folder}/{name}")  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106


def _above() -> set[int]:
    """The processes above us: a check that asks for itself, without the variables that say so, must not wait."""
    from buildguard.agents.processes import ancestors

    return {process.pid for process in ancestors()}
