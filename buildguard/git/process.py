"""One git command, from its start to its end. Nothing else in this room starts a process.

Every call sets `GIT_OPTIONAL_LOCKS=0`: a status that refreshes the index would take the lock that the fixer needs.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from buildguard.errors import GitFault

ANSWER_SECONDS: Final = 10.0
"""How long git may take to answer before coordination counts as unavailable."""
_STDERR_BYTES = 1 << 16


class Done(NamedTuple):
    """How a git ended, and what it printed: a bounded part of its stderr."""

    status: int
    out: str
    err: str


def answer(words: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: str | None = None) -> str:
    """What one git command prints, without the last newline. Raises `GitFault` with git's own first line."""
    return said(words, environment, cwd, stdin, ANSWER_SECONDS).rstrip("\n")


def said(
    words: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: str | None, within: float | None
) -> str:
    """What one git command prints, to the last byte. Raises `GitFault` with git's own first line."""
    done = call(words, environment, cwd, stdin, within)
    if done.status != 0:
        first = done.err.strip().split("\n")[0] or f"exit status {done.status}"
        raise GitFault(f"git {_verb(words)}: {first}")
    return done.out


def call(
    words: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: str | None, within: float | None
) -> Done:
    """One git command, killed if it takes longer than `within` seconds. Raises `GitFault` without git, or then."""
    _hear_of_children()
    # Files, not pipes: a process that git leaves behind keeps a pipe open, and we would wait for that one, too.
    with _scratch() as given, _scratch() as out, _scratch() as err:
        given.write((stdin or "").encode(errors="surrogateescape"))
        given.seek(0)
        try:
            process = subprocess.Popen(
                ["git", *words], env=asking(environment), cwd=cwd, stdin=given, stdout=out, stderr=err
            )
        except OSError as error:
            raise _cannot_run(error, cwd) from error
        try:
            _await_end(process, within)
        except subprocess.TimeoutExpired as error:
            raise GitFault(f"git {_verb(words)} did not answer within {within:g} s") from error
        finally:
            if within is not None:
                process.kill()
            process.wait()
        # Not in text mode, which takes the carriage returns out of a patch.
        return Done(process.returncode, _text(out, -1), _text(err, _STDERR_BYTES))


def utf8(text: str) -> str:
    """That text as an argument or a variable for git, which reads UTF-8 whatever the locale of this process is."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


def asking(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a git that asks for no lock and speaks English."""
    # Not LC_ALL=C, which git hands on: the user's filters would not read UTF-8 and write garbage.
    return {**environment, "GIT_OPTIONAL_LOCKS": "0", "LANGUAGE": "C"}


@contextmanager
def unbroken() -> Iterator[None]:
    """Put INT, TERM and HUP off until the end, for us and for the git that is started meanwhile: what is between
    two writes that belong together would stay half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_commit(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdout: int | None = None,
) -> int:
    """Run `git commit` with the terminal, editor and arguments untouched; its exit status as a shell says it.
    `stdout` is the descriptor that its words go to, if they are not to go to ours. INT is git's own affair
    meanwhile; TERM and HUP to us are passed on to it."""
    handlers = {}
    _hear_of_children()
    try:
        process = subprocess.Popen(["git", "commit", *arguments], env=environment, cwd=cwd, stdout=stdout)
    except OSError as error:
        raise _cannot_run(error, cwd) from error

    def pass_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    try:
        for number, handler in (
            (signal.SIGINT, signal.SIG_IGN),
            (signal.SIGTERM, pass_on),
            (signal.SIGHUP, pass_on),
        ):
            handlers[number] = signal.signal(number, handler)
        status = process.wait()
    finally:
        for number, old in handlers.items():
            signal.signal(number, old)
    return status if status >= 0 else 128 - status


def _verb(words: Sequence[str]) -> str:
    """Which git command that is, behind the options that are git's own."""
    return next((word for word in words if not word.startswith("-") and "=" not in word), "")


def _scratch() -> IO[bytes]:
    """A file without a name; in memory where the system can, for importing `tempfile` costs five calls of git."""
    try:
        return open(os.memfd_create("git"), "w+b")
    except (AttributeError, OSError):
        import tempfile

        return tempfile.TemporaryFile()


def _text(file: IO[bytes], most: int) -> str:
    file.seek(0)
    return file.read(most).decode(errors="surrogateescape")


def _await_end(process: "subprocess.Popen[bytes]", within: float | None) -> None:
    """Wait for its end. Raises `TimeoutExpired` after `within` seconds."""
    try:
        watch = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        process.wait(within)  # this one sleeps between looks, up to 50 ms
        return
    try:
        waiting = select.poll()
        waiting.register(watch, select.POLLIN)
        if not waiting.poll(None if within is None else within * 1000):
            raise subprocess.TimeoutExpired("git", within or 0)
    finally:
        os.close(watch)


def _hear_of_children() -> None:
    """Where a parent of ours left SIGCHLD ignored, the exit status of a git is lost, and `Popen` takes it for 0.
    Raises `GitFault` where that cannot be mended (outside of the main thread)."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        except ValueError as error:
            raise GitFault("SIGCHLD is ignored, so how git ends cannot be told") from error


def _cannot_run(error: OSError, cwd: Path) -> GitFault:
    if not cwd.is_dir():
        return GitFault(f"the folder {cwd} does not exist any more")
    if isinstance(error, FileNotFoundError):
        return GitFault("git is not installed, or not on PATH")
    return GitFault(f"git cannot be run: {error.strerror}")
