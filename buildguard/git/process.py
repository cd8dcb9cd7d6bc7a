"""One git command, from its start to its end. Nothing else in this room starts a process.

Every call sets `GIT_OPTIONAL_LOCKS=0`: a status that refreshes the index would take the lock that the fixer needs.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from buildguard.errors import GitFault

ANSWER_SECONDS: Final = 10.0
"""How long git may take to answer before coordination counts as unavailable."""
Done = subprocess.CompletedProcess[str]


def answer(words: Sequence[str], environment: Mapping[str, str], cwd: Path) -> str:
    """What one git command prints, without the last newline. Raises `GitFault` with git's own first line."""
    return said(words, environment, cwd).rstrip("\n")


def said(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdin: str | None = None,
    within: float | None = ANSWER_SECONDS,
) -> str:
    """What one git command prints, to the last byte. Raises `GitFault` with git's own first line."""
    done = call(words, environment, cwd, stdin, within)
    if done.returncode != 0:
        first = done.stderr.strip().split("\n")[0] or f"exit status {done.returncode}"
        raise GitFault(f"git {_verb(words)}: {first}")
    return done.stdout


def call(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdin: str | None = None,
    within: float | None = ANSWER_SECONDS,
    alone: bool = False,
) -> Done:
    """One git command, killed if it takes longer than `within` seconds; `alone`: without a terminal, on which ssh
    would ask for a password. Raises `GitFault` without git, or then."""
    # No lock, and English; not by LC_ALL=C, which the user's filters would get, too, and then write garbage. And no
    # other meaning of our paths.
    asking = {name: value for name, value in environment.items() if not name.endswith("_PATHSPECS")}
    asking |= {"GIT_OPTIONAL_LOCKS": "0", "LANGUAGE": "C"}
    # Files, not pipes: a process that git leaves behind keeps a pipe open, and we would wait for that one, too.
    with _scratch() as given, _scratch() as out, _scratch() as err:
        given.write((stdin or "").encode(errors="surrogateescape"))
        given.seek(0)
        process = _started(["git", *words], asking, cwd, given, out, err, alone)
        try:
            _await_end(process, within)
        except subprocess.TimeoutExpired as error:
            if alone:
                # Its helpers, too. Not by KILL: that would leave a lock in a remote that is a path.
                os.killpg(process.pid, signal.SIGTERM)
            raise GitFault(f"git {_verb(words)} did not answer within {within:g} s") from error
        finally:
            if within is not None:
                process.kill()
            process.wait()
        return Done(words, process.returncode, _text(out), _text(err))


def utf8(text: str) -> str:
    """That text as an argument or a variable for git, which reads UTF-8 whatever the locale of this process is."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


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
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, stdout: int | None = None
) -> int:
    """Run `git commit` with the terminal, editor and arguments untouched (`stdout`: another descriptor for its
    words); its exit status as a shell says it. INT is git's own affair meanwhile; TERM and HUP are passed on."""
    process = _started(["git", "commit", *arguments], environment, cwd, stdout=stdout)

    def pass_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    handlers = ((signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, pass_on), (signal.SIGHUP, pass_on))
    before = [(number, signal.signal(number, handler)) for number, handler in handlers]
    try:
        status = process.wait()
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _started(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | None = None,
    alone: bool = False,
) -> "subprocess.Popen[bytes]":
    # Where a parent left SIGCHLD ignored, the exit status of a git is lost, and `Popen` takes it for 0.
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            words, env=environment, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=alone
        )
    except OSError as error:
        if not cwd.is_dir():
            raise GitFault(f"the folder {cwd} does not exist any more") from error
        raise GitFault(f"git is not installed, or cannot be run: {error.strerror}") from error


def _await_end(process: "subprocess.Popen[bytes]", within: float | None) -> None:
    """Wait for its end. Raises `TimeoutExpired` after `within` seconds."""
    # `Popen.wait` with a bound sleeps up to 50 ms between its looks.
    if within is not None:
        with suppress(AttributeError, OSError), open(os.pidfd_open(process.pid), "rb", 0) as end:
            poll = select.poll()  # `select` takes no number beyond 1023
            poll.register(end, select.POLLIN)
            poll.poll(within * 1000)
            within = 0.0
    process.wait(within)


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


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    # Not in text mode, which takes the carriage returns out of a patch.
    return file.read().decode(errors="surrogateescape")
