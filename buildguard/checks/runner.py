"""Runs a check and ends it.

The check gets a session of its own. A guardian ends it as a whole: a forked process that listens to a pipe, on
which we ask it to, and whose end of file says that we were killed. A daemon that left the session is let be.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from enum import Enum
from subprocess import DEVNULL, PIPE, STDOUT, Popen, SubprocessError
from typing import Final, NamedTuple, NoReturn

TAIL_BYTES: Final = 1 << 20
"""How much of the output a result keeps. An unprivileged pipe holds no more either."""

INTERNAL_VARIABLES: Final = frozenset({"BUILDGUARD_VERDICT_FILE"})
"""What buildguard tells only itself."""

RUN_VARIABLE: Final = "BUILDGUARD_RUN"
"""Has the tokens of all runs around a process, the outermost first."""

# What git says of the commit in hand, and a commit that a test makes must not inherit.
_OF_THE_COMMIT = {f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL", "DATE")}
_OF_THE_COMMIT |= {"GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_REFLOG_ACTION"}
_GRACE = 1.0  # seconds between the signal that asks a check to end and the one that it cannot refuse
_GIVE_UP = 4.0  # seconds after which what survives SIGKILL is let be: it hangs in the kernel
_LOOK_EVERY = 0.15  # seconds between two looks at the clock and at the calling git
_ASKING_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_VERDICT = {126: "not executable (exit status 126)", 127: "command not found (exit status 127)"}
_NO_VERDICT |= {128 + n: f"killed by {n.name}" for n in (*_ASKING_TO_END, signal.SIGKILL)}


class Verdict(Enum):
    """What a run says of the code; the last two say nothing of it."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"


class Command(NamedTuple):
    """A check or a fix. `text` is what a person would type, and what makes two checks the same one."""

    argv: tuple[str, ...]
    text: str

    @classmethod
    def from_words(cls, words: Sequence[str]) -> "Command":
        """A command given word by word; no shell reads it."""
        import shlex

        return cls(tuple(words), shlex.join(words))

    @classmethod
    def from_shell(cls, line: str) -> "Command":
        """A line for `/bin/sh`."""
        return cls(("/bin/sh", "-c", line), line)


class Result(NamedTuple):
    """How a run ended."""

    verdict: Verdict
    status: int | None  # as a shell says it: 128+n for signal n, 126 or 127 for what did not start
    why: str  # in words; empty for passed and failed
    seconds: float
    output: bytes  # the last `TAIL_BYTES` of both streams, in the order of arrival


def scrubbed(
    environment: Mapping[str, str], local_names: Collection[str], private_prefix: str | None
) -> dict[str, str]:
    """The environment for a check: a copy without what was set for the hook alone.

    `local_names` is what `git rev-parse --local-env-vars` prints; what a user configures by the
    `GIT_CONFIG_COUNT` set stays. `private_prefix`: the virtual environment that a hook framework made, if any.
    """
    removed = {*local_names, *_OF_THE_COMMIT, *INTERNAL_VARIABLES} - {"GIT_CONFIG_COUNT"}
    kept = {name: value for name, value in environment.items() if name not in removed}
    if private_prefix is not None:
        private, programs = (os.path.realpath(f"{private_prefix}{part}") for part in ("", "/bin"))
        if "PATH" in kept:
            folders = kept["PATH"].split(os.pathsep)
            kept["PATH"] = os.pathsep.join(f for f in folders if not f or os.path.realpath(f) != programs)
        if os.path.realpath(kept.get("VIRTUAL_ENV", os.devnull)) == private:
            del kept["VIRTUAL_ENV"]
    return kept


def run(
    command: Command,
    *,
    environment: Mapping[str, str],
    cwd: str | os.PathLike[str],
    timeout: float | None = None,
    inconclusive: frozenset[int] = frozenset(),
    stdout: int = 1,
    stderr: int = 2,
    tick: Callable[[], None] = lambda: None,
    tick_every: float = 30.0,
    caller_lives: Callable[[], bool] = lambda: True,
) -> Result:
    """Run `command` to the end of its main process; output streams to the descriptors `stdout` and `stderr`.

    What it leaves behind by then is left alone. `timeout` and `tick_every` are seconds. INT, TERM and HUP to
    us (in the main thread, and unless they were ignored) end it, and so does `caller_lives` saying False.
    What keeps it from starting is *inconclusive*. Raises what `tick` and `caller_lives` raise, after ending it.
    """
    began = looked = ticked = time.monotonic()
    cut: tuple[Verdict, str] | None = None

    def over() -> bool:
        nonlocal cut, looked, ticked
        now = time.monotonic()
        if now - ticked >= tick_every:
            ticked = now
            tick()
        if timeout is not None and now - began >= timeout and check.returncode is None:
            cut = cut or (Verdict.INCONCLUSIVE, f"timed out after {timeout:g} s")
        # Output brings us here thousands of times a second; whether git lives may cost a walk.
        elif now - looked >= _LOOK_EVERY:
            looked = now
            cut = cut or (None if caller_lives() else (Verdict.INTERRUPTED, "the git that called is gone"))
        return bool(cut or guardian.caught)

    with ExitStack() as stack:
        try:
            guardian = stack.enter_context(closing(_Guardian(environment.get(RUN_VARIABLE))))
            check = Popen(
                command.argv,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT if os.path.sameopenfile(stdout, stderr) else PIPE,
                cwd=cwd,
                env={**environment, RUN_VARIABLE: guardian.tokens},
                preexec_fn=guardian.admit,  # noqa: PLW1509
            )
        except (OSError, ValueError, IndexError, SubprocessError) as error:
            status, why = _not_started(command, error)
            return Result(Verdict.INCONCLUSIVE, status, why, time.monotonic() - began, b"")
        output = _Output(check, (stdout, stderr), guardian.wake, over)
        stack.callback(guardian.finish, check, output)
        while check.poll() is None and not over():
            output.turn()
    if guardian.caught:
        cut = Verdict.INTERRUPTED, signal.Signals(guardian.caught[0]).name
    status = 128 - check.returncode if check.returncode < 0 else check.returncode
    verdict, why = cut or _judged(status, inconclusive)
    return Result(verdict, status, why, time.monotonic() - began, bytes(output.tail[-TAIL_BYTES:]))


def _judged(status: int, inconclusive: Collection[int]) -> tuple[Verdict, str]:
    why = _NO_VERDICT.get(status, f"exit status {status}" if status in inconclusive else "")
    return Verdict.INCONCLUSIVE if why else Verdict.FAILED if status else Verdict.PASSED, why


def _not_started(command: Command, error: Exception) -> tuple[int | None, str]:
    name = command.argv[0] if command.argv else ""
    if isinstance(error, FileNotFoundError) and error.filename == name:
        return 127, f"command not found: {name}"
    if isinstance(error, OSError):
        what = "not executable" if error.filename == name else "cannot start"
        return 126, f"{what}: {error.filename or name}: {error.strerror}"
    return None, f"cannot start: {name!r}: {error}"


class _Output:
    """What the check prints, on its way to `sinks`; `over` says that nobody waits for it any more."""

    def __init__(self, check: Popen[bytes], sinks: tuple[int, int], wake: int, over: Callable[[], bool]) -> None:
        self.tail = bytearray()
        self._wake, self._over = wake, over
        sources = [file.fileno() for file in (check.stdout, check.stderr) if file]
        self._sinks = dict(zip(sources, sinks, strict=False))
        for source in self._sinks:
            os.set_blocking(source, False)

    def turn(self) -> None:
        """Pass on what comes within `_LOOK_EVERY` seconds, or until a signal comes or a child ends."""
        for source in select.select([self._wake, *self._sinks], [], [], _LOOK_EVERY)[0]:
            if source == self._wake:
                os.read(source, 1 << 9)
            else:
                self._pass_on(source)

    def finish(self) -> None:
        """Pass on what is there, and not what a process left behind may print yet."""
        for source in list(self._sinks):
            room = TAIL_BYTES
            while room > 0 and (length := self._pass_on(source)):
                room -= length

    def _pass_on(self, source: int) -> int:
        """Pass on one piece; its length, 0 when there is none."""
        try:
            piece = os.read(source, 1 << 16)
        except BlockingIOError:
            return 0
        self.tail += piece
        del self.tail[: -2 * TAIL_BYTES]
        rest, sink = piece, self._sinks[source] if piece else self._sinks.pop(source)
        while rest and sink >= 0:
            # In portions that cannot block: a reader that stands still must not keep us from ending.
            if select.select([], [sink], [], _LOOK_EVERY)[1]:
                try:
                    rest = rest[os.write(sink, rest[: select.PIPE_BUF]) :]
                except BlockingIOError:
                    continue
                except OSError:  # its reader is gone, which is no fault of the check
                    self._sinks[source] = sink = -1
            elif self._over():
                break
        return len(piece)


class _Guardian:
    """A forked process that ends a run when it is told to, or when nobody is left to tell it."""

    def __init__(self, outer: str | None) -> None:
        token = os.urandom(8).hex()
        self.tokens = f"{outer}:{token}" if outer else token
        while (spare := os.open(os.devnull, os.O_RDWR)) < 3:
            pass  # a closed stdout would else get the number of one of our pipes
        os.close(spare)
        # We hold both ends: to write when the guardian was killed would kill the check with SIGPIPE.
        self._heard, self._lifeline = os.pipe()
        self.wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._pid = os.fork()
        if not self._pid:
            _guard(self._heard, self._woken)
        # From when it is ready, what kills our process group does not kill the guardian too.
        select.select([self.wake], [], [], _GRACE)
        self.caught: list[int] = []
        self._wakeup, self._before = -1, {}
        with suppress(ValueError):  # not the main thread: only the clock wakes us
            for number in (*_ASKING_TO_END, signal.SIGCHLD):
                # `nohup` ignores HUP on purpose; SIGCHLD ignored loses the status, and every check is green.
                if number == signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._catch)
            self._wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    def _catch(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.caught.append(number)
            os.write(self._lifeline, b"I" if number == signal.SIGINT else b"T")

    def admit(self) -> None:
        """Called in the check's process before it becomes the check, so that none runs that nobody would end."""
        os.setsid()
        os.write(self._lifeline, b"%d" % os.getpid())

    def finish(self, check: Popen[bytes], output: _Output) -> None:
        """End a check that still runs; pass on what there is of its output."""
        with check:
            # After a signal its main process may end first: the guardian, dismissed then, would leave the rest.
            if check.returncode is None or self.caught:
                os.write(self._lifeline, b"T")
                while not os.waitpid(self._pid, os.WNOHANG)[0]:
                    output.turn()
                self._pid = 0
                if check.poll() is None:  # so the guardian was killed
                    _end_session(check.pid, signal.SIGTERM)
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


def _guard(heard: int, ready: int) -> NoReturn:
    try:
        os.setsid()
        for number in (*_ASKING_TO_END, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        os.write(ready, b".")
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
            _end_session(int(session), signal.SIGINT if b"I" in said else signal.SIGTERM)
    finally:
        os._exit(0)


def _end_session(session: int, first: signal.Signals) -> None:
    """Signal every process of the session once, and after `_GRACE` kill what is left, until nothing is."""
    from buildguard.agents.processes import run_members

    began, asked, quiet = time.monotonic(), False, 0
    # Twice nothing, because one that forks or executes at the moment of the look is not seen.
    while quiet < 2 and (elapsed := time.monotonic() - began) < _GIVE_UP:
        members = run_members(session)
        if not asked or elapsed >= _GRACE:
            for pid in members:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL if asked else first)
        asked, quiet = True, 0 if members else quiet + 1
        time.sleep(0.02)
