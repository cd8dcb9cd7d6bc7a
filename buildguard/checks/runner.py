"""Runs a check and judges it."""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from enum import Enum
from errno import EMFILE, ENFILE
from functools import partial
from signal import SIGKILL, Signals
from subprocess import DEVNULL, PIPE, STDOUT, Popen, SubprocessError, TimeoutExpired
from typing import Final, NamedTuple

from buildguard.agents.identity import COMMIT_VARIABLE
from buildguard.checks.guardian import ASKING_TO_END, Guardian
from buildguard.checks.output import LOOK_EVERY, TAIL_BYTES, Output

HANDOFF_VARIABLE: Final = "BUILDGUARD_VERDICT_FILE"
"""Names the file in which the hook leaves its verdict for the `buildguard commit` above it."""
ACTIVE_VARIABLE: Final = "BUILDGUARD_ACTIVE"
"""Has a line for each run around a process: the repository's common dir and the check's text, as literals, and the
token of the buildguard that runs it, with tabs between them."""

# What git says of the commit in hand, and a commit that a test makes must not inherit.
_OF_THE_COMMIT = {f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL", "DATE")}
_OF_THE_COMMIT |= {"GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_REFLOG_ACTION"}
_NO_VERDICT = {126: "not executable (exit status 126)", 127: "command not found (exit status 127)"}
_NO_VERDICT |= {128 + n: f"killed by {n.name}" for n in (*ASKING_TO_END, SIGKILL)}
_NO_TESTS = 5
_OF_PYTEST = {
    2,
    3,
    4,
    _NO_TESTS,
}  # interrupted, an error of its own, called wrongly, nothing found


class Verdict(Enum):
    """What a run says of the code; the last three say nothing of it."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


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


class Order(NamedTuple):
    """How a command is to be run: for how many seconds at most, which exit statuses are no verdict, and to which
    descriptors its output streams."""

    command: Command
    environment: Mapping[str, str]
    cwd: str | os.PathLike[str]
    timeout: float | None = None
    inconclusive: frozenset[int] = frozenset()
    stdout: int = 1
    stderr: int = 2


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
    """The environment for a check: a copy without what was set for the hook alone. `local_names` is what
    `git rev-parse --local-env-vars` prints; `private_prefix` the virtual environment that a hook framework made."""
    # What a user configures by `GIT_CONFIG_COUNT` stays.
    removed = {*local_names, *_OF_THE_COMMIT, HANDOFF_VARIABLE, COMMIT_VARIABLE} - {"GIT_CONFIG_COUNT"}
    kept = {name: value for name, value in environment.items() if name not in removed}
    if private_prefix is not None:
        private, programs = (os.path.realpath(f"{private_prefix}{part}") for part in ("", "/bin"))
        if "PATH" in kept:
            folders = kept["PATH"].split(os.pathsep)
            kept["PATH"] = os.pathsep.join(f for f in folders if not f or os.path.realpath(f) != programs)
        if os.path.realpath(kept.get("VIRTUAL_ENV", os.devnull)) == private:
            del kept["VIRTUAL_ENV"]
    return kept


def active(environment: Mapping[str, str], common_dir: str, check_text: str) -> str:
    """The value of `ACTIVE_VARIABLE` in the environment of this check, but for the token of the one that will run
    it, which `run` adds."""
    return f"{environment.get(ACTIVE_VARIABLE, '')}\n{common_dir!a}\t{check_text!a}\t".lstrip("\n")


def nested_in(environment: Mapping[str, str], common_dir: str, check_text: str | None = None) -> bool:
    """Whether a run of this check (of any, if None) in the repository is above us. A commit that a check makes must
    not run the same check again: there would be no end of it. What a check left behind may have the variable long
    after that run has ended."""
    start = f"{common_dir!a}\t" if check_text is None else f"{common_dir!a}\t{check_text!a}\t"
    lines = [line for line in environment.get(ACTIVE_VARIABLE, "").split("\n") if line.startswith(start)]
    if not lines:
        return False
    from buildguard.agents.processes import known_dead

    return not all(known_dead(line.rpartition("\t")[2]) for line in lines)


def run(
    order: Order,
    *,
    write: Callable[[int, bytes], None] | None = None,
    guarded: type[Guardian] = Guardian,
    tick: Callable[[], None] = lambda: None,
    tick_every: float = 30.0,
    caller_lives: Callable[[], bool] = lambda: True,
) -> Result:
    """Run the command to the end of its main process; `write`, if given, takes its output with one of the
    descriptors. What it leaves behind is left alone. Times are seconds. INT, TERM or HUP to us, unless ignored, end
    it; so does `caller_lives` saying False. Raises what the callbacks raise, after ending it. `guarded` is the
    guardian that ends the check."""
    limits = _Limits(order.timeout, tick, tick_every, caller_lives)
    with ExitStack() as stack:
        try:
            guardian = stack.enter_context(closing(guarded()))
            check = _started(order, guardian)
        except (OSError, ValueError, IndexError, SubprocessError) as error:
            if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):
                if write is not None:  # what is not read cannot be written
                    raise
                stack.close()
                return _plainly(order)
            status, why = _not_started(order.command, error)
            return Result(Verdict.INCONCLUSIVE, status, why, limits.spent, b"")
        over = partial(limits.over, check, guardian)
        output = Output(check, (order.stdout, order.stderr), guardian.wake, over, write)
        stack.callback(guardian.finish, check, output)
        while check.poll() is None and not over():
            output.turn()
    cut = (Verdict.INTERRUPTED, Signals(guardian.caught[0]).name) if guardian.caught else limits.cut
    kept = bytes(output.tail[-TAIL_BYTES:])
    status = 128 - check.returncode if check.returncode < 0 else check.returncode
    verdict, why = cut or _judged(status, kept, order.inconclusive)
    return Result(verdict, status, why, limits.spent, kept)


class _Limits:
    """What cuts a run short: its time, and that nobody waits for it any more. Gives signs of life meanwhile."""

    cut: tuple[Verdict, str] | None = None

    def __init__(
        self, timeout: float | None, tick: Callable[[], None], tick_every: float, lives: Callable[[], bool]
    ) -> None:
        self._timeout, self._tick, self._tick_every, self._lives = timeout, tick, tick_every, lives
        self._began = self._looked = self._ticked = time.monotonic()
        self._ours = 0.0

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def over(self, check: Popen[bytes], guardian: Guardian) -> bool:
        """Whether the run is to end now."""
        now = time.monotonic()
        if now - self._ticked >= self._tick_every:
            self._tick()
            self._ticked = time.monotonic()
            # While we gave that sign, nobody read what the check prints: it may have stood still.
            self._ours += self._ticked - now
        timeout = self._timeout
        if timeout is not None and self.spent - self._ours >= timeout and check.returncode is None:
            self.cut = self.cut or (Verdict.INCONCLUSIVE, f"timed out after {timeout:g} s")
        # Output brings us here thousands of times a second; whether git lives may cost a walk.
        elif now - self._looked >= LOOK_EVERY:
            self._looked = now
            self.cut = self.cut or (None if self._lives() else (Verdict.INTERRUPTED, "the git that called is gone"))
        return bool(self.cut or guardian.caught)


def _started(order: Order, guardian: Guardian) -> Popen[bytes]:
    """The check's process. Of two sinks that are one file it gets one pipe, which keeps the order of its lines."""
    return Popen(
        order.command.argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT if os.path.sameopenfile(order.stdout, order.stderr) else PIPE,
        cwd=order.cwd,
        env=_run_by_us(order.environment),
        **guardian.options,
    )


def _run_by_us(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with our token in it: the one who asked may be gone while the check goes on."""
    from buildguard.agents.processes import token_of

    lines = environment.get(ACTIVE_VARIABLE, "")
    ours = {ACTIVE_VARIABLE: f"{lines}{token_of(os.getpid())}"} if lines.endswith("\t") else {}
    return {**environment, **ours}


def _plainly(order: Order) -> Result:
    """Run it where there are no descriptors left to watch it with: its verdict stands, its output is not read."""
    began, command = time.monotonic(), order.command
    try:
        # With our own stdin, because the null device would take a descriptor.
        status = subprocess.call(
            command.argv,
            cwd=order.cwd,
            env=_run_by_us(order.environment),
            timeout=order.timeout,
            stdout=order.stdout,
            stderr=order.stderr,
        )
        verdict, why = _judged(128 - status if status < 0 else status, b"", order.inconclusive)
        return Result(verdict, status, why, time.monotonic() - began, b"")
    except TimeoutExpired:
        verdict, status, why = Verdict.INCONCLUSIVE, None, f"timed out after {order.timeout:g} s"
    except (OSError, ValueError, IndexError, SubprocessError) as error:
        verdict, (status, why) = Verdict.INCONCLUSIVE, _not_started(command, error)
    return Result(verdict, status, why, time.monotonic() - began, b"")


def _judged(status: int, output: bytes, inconclusive: Collection[int]) -> tuple[Verdict, str]:
    why = _NO_VERDICT.get(status, f"exit status {status}" if status in inconclusive else "")
    if not why and status in _OF_PYTEST:
        from buildguard.checks.failures import could_not_test

        what = "found no tests" if status == _NO_TESTS else "did not get through its tests"
        why = f"pytest {what} (exit status {status})" if could_not_test(output) else ""
    return Verdict.INCONCLUSIVE if why else Verdict.FAILED if status else Verdict.PASSED, why


def _not_started(command: Command, error: Exception) -> tuple[int | None, str]:
    if not isinstance(error, OSError):
        return None, f"cannot start: {error}"
    name = error.filename or command.argv[0]
    if isinstance(error, FileNotFoundError) and name == command.argv[0]:
        return 127, f"command not found: {name}"
    return 126, f"cannot start: {name}: {error.strerror}"
