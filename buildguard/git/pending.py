"""The commit that a hook runs for, as it was when the hook began."""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from buildguard.agents.calling import CallingGit, calling_git
from buildguard.git.index import Index, current
from buildguard.git.repository import Repository

GIT_GONE = "the git that called this hook is gone"


class Pending(NamedTuple):
    """The commit that this hook runs for; `began` is a monotonic time. Without an `index` it is no commit
    (pre-push, a framework run by hand), or that has `vanished`: git would commit a tree without files."""

    index: Index | None  # type: ignore[assignment]  # hides a method of tuples that nobody calls
    vanished: bool
    caller: CallingGit | None
    began: float

    @property
    def orphaned(self) -> bool:
        """Whether git was gone before we could look. Without a git above us somebody else may have called."""
        return self.caller is None and os.getppid() == 1

    def lives(self) -> bool:
        """Whether anybody still waits for our verdict: git does not stop its hooks when it is killed."""
        return self.caller is None or self.caller.lives()

    @property
    def argv(self) -> Sequence[str]:
        """The command line of the git that called."""
        return self.caller.argv if self.caller else ()


def read(repository: Repository) -> Pending:
    """Look once, before anything else runs."""
    committing = bool(repository.environment.get("GIT_INDEX_FILE"))
    index = current(repository) if committing else None
    # Before the first commit there may be none yet.
    vanished = committing and index is None and repository.has_files
    return Pending(index, vanished, calling_git(), time.monotonic())
