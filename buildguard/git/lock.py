"""The index lock of this work tree while another git holds it: waited for, and never deleted.

Deleting the lock of a live commit makes git commit a tree without files.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from buildguard.errors import GitFault
from buildguard.git import private
from buildguard.git.repository import Repository

LOCK_LOOK_SECONDS = 0.05
"""Seconds between two looks at a lock that somebody else holds."""


def held(repository: Repository) -> bool:
    """Whether a git holds it just now."""
    return (repository.git_dir / "index.lock").exists()


class Held(GitFault):
    """Another process of ours has not let go of this work tree in time."""


@contextmanager
def alone(repository: Repository, deadline: float) -> Iterator[None]:
    """Keep other processes that ask the same waiting, in this work tree: for what takes several git commands.
    Leaves no file, and ends with the process. Raises `Held` at `deadline` (monotonic seconds)."""
    folder = os.open(repository.git_dir, os.O_RDONLY)
    try:
        if not private.locked(folder, deadline):
            raise Held("another cherry-pick still works in this checkout")
        yield
    finally:
        os.close(folder)


def is_about(error: Exception) -> bool:
    """Whether somebody else held a lock, of ours or of git: in any language git names the file."""
    return isinstance(error, Held) or "index.lock" in str(error)


def await_free(repository: Repository, deadline: float, say: Callable[[str], None]) -> None:
    """Let another git command of this work tree end first, until `deadline` (monotonic seconds): while its check
    runs, git would only fail with 128. What is waited for is said once."""
    if held(repository):
        say("waiting: another git command holds this work tree's index lock")
    while held(repository) and time.monotonic() < deadline:
        time.sleep(LOCK_LOOK_SECONDS)
