"""Clones on machines of their own, whose store is a ref on a git remote that they share."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from store.values import FILES, HEAD, Clock

from buildguard.claims.guard import Answer, Guard, Identity, Terms
from buildguard.claims.model import Content, Landing, Run, Snapshot
from buildguard.git.process import Done
from buildguard.store.gitref import GitRef
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore

REF = "refs/buildguard/1/default"
OPEN: list[SqliteStore] = []
"""The near stores that the test at hand has opened: a fixture closes them."""


class Machine:
    """A clone with a clock of its own, and what it was told."""

    def __init__(self, clone: Path, clock: Clock) -> None:
        self.clock = clock
        self.told: list[str] = []
        near = SqliteStore(clone / ".git/buildguard/state.db", clock=clock)
        OPEN.append(near)
        self.register = Counted("origin", clone / ".git", dict(os.environ))
        self.store = SharedStore(near, self.register, clone / ".git", self.told.append, clock)
        self.checkout = f"checkout:{clone.name}"
        self.clone = clone

    def guard(self, agent: str, head: str = HEAD) -> Guard:
        return Guard(self.store, "default", self.checkout, Alone(agent, self.checkout), Terms(900.0, 3600.0, head))

    def fails(self, agent: str, good: bool = False, failures: tuple[str, ...] = ("a",)) -> Answer:
        self.asks_again()
        return self.guard(agent).failed(self.run(failures=failures, good=good))

    def passes(self, agent: str) -> Answer:
        self.asks_again()
        landing = Landing(FILES, (Content("a", "100644", HEAD),), (), (HEAD,))
        follows = frozenset({HEAD})
        return self.guard(agent).passed(self.run(landings=(landing,), follows=follows), agent)

    def run(self, **more: Any) -> Run:
        return Run("pytest", self.store.read("default").last_event, self.checkout, HEAD, files=FILES)._replace(
            **more
        )

    def asks_again(self) -> None:
        """As the next process does, which knows nothing of what this one has just seen."""
        self.store._looked_at.clear()

    def status(self) -> Snapshot:
        self.asks_again()
        return self.store.read("default", fresh=True)


class Counted(GitRef):
    """Counts what goes over the network."""

    asked = 0

    def _git(self, *words: str, stdin: str = "") -> Done:
        self.asked += words[0] in ("ls-remote", "fetch", "push")
        return super()._git(*words, stdin=stdin)


class Alone(NamedTuple):
    """A world in which everybody lives, seen from one clone."""

    id: str
    home: str = ""
    process: str | None = None

    def identify(self) -> Identity:
        return self

    def dead(self, agent: str, process: str) -> bool:
        return False

    def elsewhere(self, checkout: str) -> bool:
        return checkout != self.home

    def gone(self, checkout: str) -> bool:
        return False


def holder(machine: Machine) -> str | None:
    claims = [state.claim for state in machine.store.read("default").states.values() if state.claim]
    return claims[0].agent if claims else None
