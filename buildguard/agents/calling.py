"""The git that called this hook: whether it still waits for us, and its command line."""

import os
from typing import NamedTuple

from buildguard.agents.processes import ancestors, argv_of, is_git, known_dead, name_of


class CallingGit(NamedTuple):
    """The git above us. Ask it in the process that found it: in a forked child the parent is another."""

    pid: int
    token: str
    """Empty where git is our parent: then `getppid` tells of its end, without a race and for free."""

    def lives(self) -> bool:
        """Whether it still runs (a zombie does not); True where the system does not let us see."""
        if not self.token:
            return os.getppid() == self.pid
        return not known_dead(self.token)

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line, read anew each time; empty when it is gone or hidden from us."""
        argv = argv_of(self.pid)
        # Asked after reading: a process that inherited the number would lend git its command line.
        return argv if self.lives() else ()


def calling_git() -> CallingGit | None:
    """The nearest git above us, or None. Costs one read where git is our parent and `/proc` tells names."""
    parent = os.getppid()
    if name_of(parent) == "git":
        return CallingGit(parent, "")
    for process in ancestors():
        if is_git(process):
            return CallingGit(process.pid, "" if process.pid == parent else process.token)
    return None
