"""An onlooker of a run: passes on its output from the start, and waits for its result."""

import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from buildguard.checks.guardian import ASKING_TO_END, end_session
from buildguard.checks.output import LOOK_EVERY, ready
from buildguard.checks.runner import Result, Verdict
from buildguard.git.files import Watched
from buildguard.git.pending import GIT_GONE
from buildguard.runs.ending import Ending, found
from buildguard.runs.output_log import Beginning, Copy, read_beginning
from buildguard.runs.serving import INTERRUPTED, OUTLIVES, WATCH

LOG: Final = "log"
"""What the check prints; its runner holds it locked. What goes to stderr, if that is another file, is beside it."""
STDERR_LOG: Final = "log-of-stderr"
_JOINED_LOOK: Final = 0.03
"""Seconds between two looks of an onlooker that has no pipe to the runner."""
OUTLIVES_SECONDS: Final = 600.0
"""How long a run goes on for which nobody can wait any longer."""
_ENDING: Final = 6.0
"""Seconds that a check may take to end; then it hangs in the kernel."""


class Audience(NamedTuple):
    """Who called: where the output goes to, whether anybody still waits, signs of life every so many seconds, and
    until when (monotonic seconds) we can look on; the run then goes on without us. `silent` hears for how many
    seconds it runs, and for how many it has printed nothing, and whether its last line is open; `speaks` that it
    prints again."""

    sinks: tuple[int, int]
    lives: Callable[[], bool]
    tick: Callable[[], None]
    tick_every: float
    until: float | None = None
    silent: Callable[[float, float, bool], None] = lambda *_: None
    speaks: Callable[[], None] = lambda: None


class Onlooker:
    """Holds the run's `watch`. `told` is the pipe by which its beginner hears of it."""

    runner = 0
    """The child to reap, where we began the run."""

    def __init__(self, folder: str, told: int = -1) -> None:
        """Raises `OSError` if there is nothing to look on."""
        self.folder = folder
        self._told = told
        self._watch = os.open(f"{folder}/{WATCH}", os.O_RDWR | os.O_CLOEXEC)
        self._logs: list[int] = []
        try:
            fcntl.flock(self._watch, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._logs.append(os.open(f"{folder}/{LOG}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
            with suppress(FileNotFoundError):
                self._logs.append(os.open(f"{folder}/{STDERR_LOG}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Look on no more."""
        for descriptor in (self._watch, self._told, *self._logs):
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def runs(self) -> bool:
        """Whether its runner lives."""
        return held(self._logs[0])

    def beginning(self) -> Beginning:
        """How the run began. Raises `OSError` and `ValueError`."""
        return read_beginning(self._logs[0])

    def look_on(self, audience: Audience) -> Ending | None:
        """Until the result is there; None if the runner is gone without one. An interrupted onlooker leaves."""
        caught: list[int] = []
        before = _catching(caught)
        try:
            return self._look_on(audience, caught)
        finally:
            audience.speaks()
            for number, how in before.items():
                signal.signal(number, how or signal.SIG_DFL)
            self.close()
            if self.runner:
                # Not waited for: what it has yet to do is nobody's concern.
                with suppress(OSError):
                    os.waitpid(self.runner, os.WNOHANG)

    def _look_on(self, audience: Audience, caught: list[int]) -> Ending | None:
        began = ticked = looked = heard = time.monotonic()
        why = ""
        copy = Copy(self._logs, audience.sinks, lambda: bool(caught), audience.speaks)
        while not why:
            ending = found(self.folder)
            over = ending is not None or not self.runs
            if not copy.turn() and over:
                copy.end()
                # It may have left one between our two looks.
                ending = ending or found(self.folder)
                if ending is None:
                    self._end_check()
                return ending
            now = time.monotonic()
            if copy.behind:
                heard = now
            else:
                audience.silent(now - began, now - heard, copy.line_open)
            if caught:
                why = signal.Signals(caught[0]).name
            elif now - looked >= LOOK_EVERY:
                looked = now
                why = "" if audience.lives() else GIT_GONE
                if audience.until is not None and now >= audience.until and self._outlived():
                    return _cut(Verdict.RUNNING, "", now - began)
            # Last, for a sign of life may take its time.
            if now - ticked >= audience.tick_every:
                ticked = now
                audience.speaks()
                audience.tick()
            if not over and not copy.behind:
                self._pause()
        self._leave(caught, copy)
        return _cut(Verdict.INTERRUPTED, why, time.monotonic() - began)

    def _outlived(self) -> bool:
        """Let the run go on without onlookers for a while; whether that could be said."""
        text = repr(time.time() + OUTLIVES_SECONDS).encode()
        try:
            with open(os.open(f"{self.folder}/{OUTLIVES}", os.O_WRONLY | os.O_CREAT, 0o600), "wb", 0) as file:
                return file.write(text) == len(text)
        except OSError:
            return False

    def _end_check(self) -> None:
        """End what a killed runner has left: nobody else does."""
        with suppress(OSError, ValueError):
            end_session(self.runner or self.beginning().process, signal.SIGTERM)

    def _pause(self) -> None:
        """Until there is more to be read, or might be."""
        if self._told < 0:
            time.sleep(_JOINED_LOOK)
        elif ready([self._told], LOOK_EVERY) and not os.read(self._told, 1 << 12):
            os.close(self._told)
            self._told = -1

    def _leave(self, caught: list[int], copy: "Copy") -> None:
        """If we are the last, the run ends with us: pass on what it prints meanwhile."""
        if signal.SIGINT in caught:
            with suppress(OSError):
                os.close(os.open(f"{self.folder}/{INTERRUPTED}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            fcntl.flock(self._watch, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        os.close(self._watch)
        self._watch = -1
        deadline = time.monotonic() + _ENDING
        while self.runs and time.monotonic() < deadline:
            copy.turn()
            time.sleep(_JOINED_LOOK)
        copy.turn()
        copy.end()


def _cut(verdict: Verdict, why: str, seconds: float) -> Ending:
    """What an onlooker has to say that left early."""
    return Ending(Result(verdict, None, why, seconds, b""), Watched(False, frozenset()), time.time())


def held(descriptor: int, how: int = fcntl.LOCK_SH) -> bool:
    """Whether somebody holds that file so that we could not."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _catching(caught: list[int]) -> dict[int, Any]:
    """Collect the signals that ask us to end, unless we are to ignore them; what they did before."""
    before: dict[int, Any] = {}
    with suppress(ValueError):  # not the main thread
        for number in ASKING_TO_END:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, lambda number, _: caught.append(number))
    return before
