"""A guard over one file, called by a named agent whose world stands still: what a verb itself costs."""

from pathlib import Path

from buildguard.agents.identity import Agent
from buildguard.claims.guard import Guard, Terms
from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore


class _Still:
    """Nobody has died, no checkout is gone."""

    def __init__(self, name: str) -> None:
        self._agent = Agent(name, "--agent", None)

    def identify(self) -> Agent:
        return self._agent

    def dead(self, agent: str, process: str) -> bool:
        return False

    def elsewhere(self, checkout: str) -> bool:
        return False

    def gone(self, checkout: str) -> bool:
        return False


def guard(path: Path, name: str) -> Guard:
    """The guard of this agent, for a build and a checkout that are always the same."""
    return guarded(SqliteStore(path), name)


def guarded(store: Store, name: str, build: str = "default") -> Guard:
    """The same over another store."""
    return Guard(store, build, "checkout:here", _Still(name), Terms(900.0, 3600.0))
