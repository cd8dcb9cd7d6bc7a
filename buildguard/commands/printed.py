"""Where a check runs, what it printed, and the ids of what failed in that."""

import os
from pathlib import Path

from buildguard.checks.runner import Command, Result
from buildguard.git import private
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.text import quoted

_OUTPUT = "last-pass"
"""Holds the output of the last pass: an id in it is no failure when the check fails."""
_KEPT_OUTPUT = 1 << 18


def place(session: Session, command: Command) -> Path:
    """Where a command runs: the configured check where the git hook runs it, whoever calls from wherever."""
    top = session.repository.top if session.repository else None
    return top if top is not None and command == session.settings.check else session.cwd


def failing_ids(session: Session, command: Command, result: Result, began: float) -> tuple[str, ...]:
    """The ids of what failed, less those that a passing run prints, too: they fail nothing."""
    from buildguard.checks.failures import failure_ids

    root = place(session, command)
    found = failure_ids(result.output, session.settings.junit, began, root)
    if found and session.repository is not None:
        harmless = failure_ids(_kept_output(session.repository, at_the_top(session, command)), None, None, root)
        found = tuple(one for one in found if one not in harmless)
    folder = _folder(session, command)
    return tuple(f"{folder}{failure}" for failure in found)


def failing_rows(session: Session, command: Command, result: Result) -> dict[str, int]:
    """The ids of failures with the line of the file that the output names for each, if it names one."""
    from buildguard.checks.failures import rows

    folder, found = _folder(session, command), rows(result.output, place(session, command))
    return {f"{folder}{failure}": row for failure, row in found.items() if row}


def _folder(session: Session, command: Command) -> str:
    """The folder that a command runs in, as the start of a path from the top; empty at the top."""
    top = session.repository.top if session.repository else None
    if top is None:
        return ""
    path = os.path.relpath(place(session, command), top)
    return "" if path == "." or path.startswith("..") else f"{path}/"


def at_the_top(session: Session, command: Command) -> str:
    """The check as a person would type it at the top: in another folder the same words check something else."""
    folder = _folder(session, command)
    return f"cd {quoted(folder)} && {command.text}" if folder else command.text


def _output_file(repository: Repository, check: str) -> Path:
    # Not from `hashlib`: a passing hook would load OpenSSL for the name of a file.
    from zlib import adler32, crc32

    named = check.encode(errors="replace")
    return repository.git_dir / "buildguard" / f"{_OUTPUT}-{crc32(named):08x}{adler32(named):08x}"


def keep_output(repository: Repository, check: str, output: bytes) -> None:
    """Keep what a pass printed. Where that cannot be written, a failure only has more ids."""
    try:
        private.folder(repository.git_dir)
        private.write(_output_file(repository, check), output[-_KEPT_OUTPUT:])
    except OSError:
        return


def _kept_output(repository: Repository, check: str) -> bytes:
    try:
        return private.read(_output_file(repository, check), _KEPT_OUTPUT)[0].encode(errors="surrogateescape")
    except OSError:
        return b""
