"""Ends a check: a forked process does, on which we ask it to through a pipe, or when that pipe's end of file says
that we were killed. The check has a session of its own, and ends as a whole; a daemon that left it is let be.
"""

import os
import signal
import time
from contextlib import suppress
from subprocess import Popen
from typing import Any, Final, NoReturn

from buildguard.checks.output import Output, ready

ASKING_TO_END: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a check when we get them, unless we were told to ignore them."""

_GRACE: Final = 1.0  # seconds between the signal that asks a check to end and the one that it cannot refuse
_GIVE_UP: Final = 4.0  # seconds after which what survives SIGKILL is let be: it hangs in the kernel


class Guardian:
    """The process that ends one run when it is told to, or when nobody is left to tell it.

    In the main thread, `caught` gets the signals that ask us to end; they, and a child's end, make `wake` readable.
    """

    def __init__(self) -> None:
        while (spare := os.open(os.devnull, os.O_RDWR)) < 3:
            pass  # a closed stdout would else get the number of one of our pipes
        os.close(spare)
        # We hold both ends: to write when the guardian was killed would kill the check with SIGPIPE.
        self._heard, self._lifeline = os.pipe()
        try:
            self.wake, self._woken = os.pipe()
        except OSError:
            os.close(self._heard)
            os.close(self._lifeline)
            raise
        os.set_blocking(self._woken, False)
        self._pid = os.fork()
        if not self._pid:
            _guard(self._heard, self._woken)
        # From when it is ready, what kills our process group does not kill the guardian too.
        ready([self.wake], _GRACE)
        self._listen()

    def _listen(self) -> None:
        self.caught: list[int] = []
        self._wakeup, self._before = -1, {}
        with suppress(ValueError):  # not the main thread: only the clock wakes us
            for number in (*ASKING_TO_END, signal.SIGCHLD):
                # `nohup` ignores HUP on purpose; SIGCHLD ignored loses the status, and every check is green.
                if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._catch)
            self._wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    def _catch(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.caught.append(number)
            os.write(self._lifeline, b"I" if number == signal.SIGINT else b"T")

    @property
    def options(self) -> dict[str, Any]:
        """The arguments with which `Popen` starts the check."""
        return {"preexec_fn": self._admit}

    def _admit(self) -> None:
        """Called in the check's process before it becomes the check, so that none runs that nobody would end."""
        os.setsid()
        os.write(self._lifeline, b"%d" % os.getpid())

    def finish(self, check: Popen[bytes], output: Output) -> None:
        """End a check that still runs; pass on what there is of its output."""
        with check:
            # After a signal its main process may end first: the guardian, dismissed then, would leave the rest.
            if check.returncode is None or self.caught:
                os.write(self._lifeline, b"T")
                while not os.waitpid(self._pid, os.WNOHANG)[0]:
                    output.turn()
                self._pid = 0
                if check.poll() is None:  # so the guardian was killed
                    end_session(check.pid, signal.SIGTERM)
            output.finish()

    def close(self) -> None:
        """Dismiss it, and let signals be what they were."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        for number, how in self._before.items():
            signal.signal(number, how or signal.SIG_DFL)
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
        for end in (self._heard, self._lifeline, self.wake, self._woken):
            os.close(end)


class Unguarded(Guardian):
    """No process of its own: the check runs in its runner's session, and the onlookers end that."""

    def __init__(self) -> None:
        self.wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._listen()

    def _catch(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.caught.append(number)

    @property
    def options(self) -> dict[str, Any]:
        """Python has nothing to do between fork and exec, and starts the check in a third of the time."""
        return {"process_group": 0}

    def finish(self, check: Popen[bytes], output: Output) -> None:
        """End a check that still runs; pass on what there is of its output."""
        with check:
            if check.returncode is None or self.caught:
                runner, first = os.getpid(), signal.SIGINT if signal.SIGINT in self.caught else signal.SIGTERM
                ender = os.fork()
                if not ender:
                    try:
                        for number in ASKING_TO_END:
                            signal.signal(number, signal.SIG_IGN)
                        end_session(runner, first, runner)
                    finally:
                        os._exit(0)
                while not os.waitpid(ender, os.WNOHANG)[0]:
                    output.turn()
            output.finish()

    def close(self) -> None:
        """The runner ends, too."""


def _guard(heard: int, woken: int) -> NoReturn:
    try:
        os.setsid()
        for number in (*ASKING_TO_END, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        os.write(woken, b".")
        for standard in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)
        # Our copy of the lifeline, and whatever pipe somebody reads to its end.
        for other in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, heard}:  # noqa: PTH208
            with suppress(OSError):
                os.close(other)
        said = b""
        # A session and a letter, in whatever order they come; or the end of file.
        while not (said.strip(b"IT") and said.strip(b"0123456789")) and (piece := os.read(heard, 64)):
            said += piece
        if session := said.strip(b"IT"):
            end_session(int(session), signal.SIGINT if b"I" in said else signal.SIGTERM)
    finally:
        os._exit(0)


def end_session(session: int, first: signal.Signals, but: int = 0) -> None:
    """Signal every process of the session `but` that one once, and after `_GRACE` kill what is left, until nothing
    is."""
    from buildguard.agents.processes import run_members

    began, asked, quiet = time.monotonic(), False, 0
    # Twice nothing, because one that forks or executes at the moment of the look is not seen.
    while quiet < 2 and (elapsed := time.monotonic() - began) < _GIVE_UP:
        members = [pid for pid in run_members(session) if pid != but]
        if not asked or elapsed >= _GRACE:
            for pid in members:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL if asked else first)
        asked, quiet = True, 0 if members else quiet + 1
        time.sleep(0.02)
