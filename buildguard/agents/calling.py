"""The git that called this hook: whether it still waits for us, and its command line."""

import os
from pathlib import Path
from typing import NamedTuple


class CallingGit(NamedTuple):
    """The git above us. Ask it in the process that found it: in a forked child the parent is another."""

    pid: int
    token: str
    """Empty where git is our parent: then `getppid` tells of its end, without a race and for free."""

    def lives(self) -> bool:
        """Whether it still runs (a zombie does not); True where the system does not let us see."""
        if not self.token:
            return os.getppid() == self.pid
        from buildguard.agents.processes import known_dead

        return not known_dead(self.token)

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line, read anew each time; empty when it is gone or hidden from us."""
        from buildguard.agents.processes import argv_of

        argv = argv_of(self.pid)
        # Asked after reading: a process that inherited the number would lend git its command line.
        return argv if self.lives() else ()


def calling_git() -> CallingGit | None:
    """The nearest git above us, or None. Costs one read where git is our parent and `/proc` tells names."""
    parent = os.getppid()
    if _name(parent) == "git":
        return CallingGit(parent, "")
    # Not above: a passing hook whose parent is git pays for none of it.
    from buildguard.agents.processes import ancestors, is_git

    for process in ancestors():
        if is_git(process):
            return CallingGit(process.pid, "" if process.pid == parent else process.token)
    return None


def _name(pid: int) -> str:
    """The name of a process; empty where `/proc` does not tell."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""
