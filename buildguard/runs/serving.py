"""The runner of a shared run: a process with a session of its own, which ends with its last onlooker."""

import fcntl
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from buildguard.checks.guardian import Unguarded
from buildguard.checks.output import LOOK_EVERY, ready
from buildguard.checks.runner import Order, Verdict, run
from buildguard.git.files import Watched
from buildguard.runs.ending import Ending, leave
from buildguard.runs.output_log import Writer

WATCH: Final = "watch"
"""The file in a run's folder that each onlooker holds shared; the runner takes it alone once nobody does."""
INTERRUPTED: Final = "interrupted"
"""Is there if somebody left by Ctrl-C: the check is then told so, as by a terminal."""
OUTLIVES: Final = "outlives"
"""Holds until when (seconds since the epoch) the run goes on without onlookers."""
_BEHIND: Final = 1 << 11
"""Bytes of output that one byte in the beginner's pipe stands for: 4 KiB of them are half of what a log keeps."""
_PIPE: Final = 1 << 12


def serve(
    folder: str, logs: tuple[int, int], kept: tuple[int, int], order: Order, look: Callable[[], Watched]
) -> NoReturn:
    """In a forked process: run the check, its output into the logs (one, if both are one), and leave the result. A
    byte in the first of `kept`, a pipe, says that there is output, its end that all is over; the other is only kept
    open. `look` tells what was done to the files. Never returns; where anything fails there is no result."""
    try:
        # Our parent's, and soon another file of ours.
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)
        os.setsid()
        # Whoever reads what the caller prints must not wait for us.
        for standard in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)
        for other in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, *kept, *logs}:  # noqa: PTH208
            with suppress(OSError):
                os.close(other)
        _serve(folder, logs, _Sink(logs, kept[0]), order, look)
    finally:
        os._exit(0)


def _serve(folder: str, logs: tuple[int, int], sink: "_Sink", order: Order, look: Callable[[], Watched]) -> None:
    there = _Onlookers(folder)
    order = order._replace(stdout=logs[0], stderr=logs[1])
    done = run(order, write=sink.write, guarded=Unguarded, caller_lives=lambda: not sink.broken and there.any())
    if done.verdict is Verdict.INTERRUPTED or sink.broken:
        return
    leave(folder, Ending(done, look(), time.time()))
    sink.tell(b".")


class _Onlookers:
    """Whether anybody looks on, or will again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._watch = os.open(f"{folder}/{WATCH}", os.O_RDWR | os.O_CLOEXEC)

    def any(self) -> bool:
        """False once and for all: from then on nobody can join."""
        try:
            fcntl.flock(self._watch, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        if self._outlives():
            fcntl.flock(self._watch, fcntl.LOCK_UN)
            return True
        if os.path.lexists(f"{self._folder}/{INTERRUPTED}") and callable(signal.getsignal(signal.SIGINT)):
            os.kill(os.getpid(), signal.SIGINT)
            return True
        return False

    def _outlives(self) -> bool:
        try:
            with open(f"{self._folder}/{OUTLIVES}") as file:
                return time.time() < float(file.read(64))
        except (OSError, ValueError):
            return False


class _Sink:
    """Where the output goes. `broken` if there is no room for it: then the run is worth nothing."""

    def __init__(self, logs: tuple[int, int], told: int) -> None:
        self.broken = False
        self._writers = {log: Writer(log) for log in set(logs)}
        self._told = told
        os.set_blocking(told, False)
        with suppress(AttributeError, OSError):
            fcntl.fcntl(told, fcntl.F_SETPIPE_SZ, _PIPE)

    def write(self, log: int, piece: bytes) -> None:
        """Add to a log."""
        try:
            self._writers[log].write(piece)
        except OSError:
            self.broken = True
        self.tell(b"." * (1 + len(piece) // _BEHIND))

    def tell(self, dots: bytes) -> None:
        """Wake the beginner, if it is still there."""
        if self._told < 0:
            return
        try:
            os.write(self._told, dots)
        except BlockingIOError:
            # Its beginner is far behind: give it time, but do not stand still with it.
            ready([self._told], LOOK_EVERY, select.POLLOUT)
        except OSError:
            self._told = -1
