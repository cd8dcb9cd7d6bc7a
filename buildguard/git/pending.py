"""The commit that a hook runs for, as it was when the hook began."""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from buildguard.agents import processes
from buildguard.git import index as gitindex
from buildguard.git.index import Index
from buildguard.git.repository import Repository

GIT_GONE = "the git that called this hook is gone"


class Situation(NamedTuple):
    """What is known of the commit that this hook runs for. `source` is the index that git commits from; without
    one it is not a commit (pre-push, a framework run by hand). `began` is a monotonic time."""

    repository: Repository
    source: Index | None
    caller: processes.Caller | None
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


def read(repository: Repository) -> Situation:
    """Look once, before anything else runs."""
    committing = bool(repository.environment.get("GIT_INDEX_FILE"))
    index = gitindex.current(repository) if committing else None
    return Situation(repository, index, processes.calling_git(), time.monotonic())
