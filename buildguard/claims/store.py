"""What the guard asks of a store, whichever engine keeps it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from buildguard.claims.model import Event, Snapshot, Step, Waiter

Transition = Callable[[Snapshot], Step]
"""A pure decision about one build. It may be called several times, also for a step that is then not written."""


class Reach(NamedTuple):
    """What is known of an engine for many machines: why it cannot be asked (empty: it can), and the age (seconds)
    of what we know of it, if we know anything."""

    where: str
    away: str
    age: float | None


class Store(Protocol):
    """States, history and proofs of builds, shared by processes. Every method raises `errors.Unavailable` where the
    store cannot serve, and nothing else."""

    @property
    def where(self) -> str:
        """The store's name in messages, never with credentials."""

    def read(self, build: str, fresh: bool = False) -> Snapshot:
        """All scopes of the build. `fresh`: as the engine has it now; else as this machine last saw it, without
        any network. Needs no right to write."""

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the state as it is now and write what it decided, as one step. Returns the step,
        its events with their ids and times, and the snapshot as it stands afterwards."""

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Wait until the build's last event is another than `since_event`, at most `timeout` seconds. Holds
        nothing while it waits."""

    def history(self, build: str, limit: int) -> list[Event]:
        """The newest `limit` events of the build, oldest first."""

    def waiters(self, build: str) -> list[Waiter]:
        """Who has said that it waits, longest first. Kept near: of this clone only."""

    def keep_waiter(self, build: str, waiter: Waiter) -> None:
        """Write that it waits, in the place of what its agent has said before in that checkout."""

    def drop_waiter(self, build: str, waiter: Waiter) -> None:
        """Write that it waits no more."""

    def close(self) -> None:
        """Let go of what is held open. The store may be used again afterwards."""
