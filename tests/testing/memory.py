"""A store in memory that honours the contract of `claims.store.Store`, so that the heart can be tested alone."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from buildguard.claims.model import Event, Proof, Snapshot, State, Step, Waiter
from buildguard.claims.store import Transition


class MemoryStore:
    """A `claims.store.Store`: a step is written if each row is at the revision that the transition saw, else the
    transition is put to the rows as they are now. `clock` gives seconds since the epoch."""

    where = "memory"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._states: dict[str, dict[str, State]] = defaultdict(dict)
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._proofs: dict[str, list[Proof]] = defaultdict(list)
        self._highest: dict[str, int] = defaultdict(int)
        self._waiters: dict[str, dict[tuple[str, str], Waiter]] = defaultdict(dict)
        self._ids = 0

    def read(self, build: str, fresh: bool = False) -> Snapshot:
        """All scopes of the build."""
        with self._changed:
            states, events = dict(self._states[build]), self._events[build]
            last = events[-1].id if events else 0
            return Snapshot(states, tuple(self._proofs[build]), last, self._clock(), self._highest[build])

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the state until what it decided could be written."""
        while True:
            step = transition(self.read(build))
            with self._changed:
                if self._still_at(build, step):
                    return self._written(build, step), self.read(build)

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Wait until the build's last event is another one."""
        with self._changed:
            return self._changed.wait_for(lambda: self.read(build).last_event != since_event, timeout)

    def history(self, build: str, limit: int) -> list[Event]:
        """The newest events, oldest first."""
        with self._changed:
            return self._events[build][-limit:]

    def waiters(self, build: str) -> list[Waiter]:
        """Who waits, longest first."""
        return sorted(self._waiters[build].values(), key=lambda one: one.since)

    def keep_waiter(self, build: str, waiter: Waiter) -> None:
        """It waits."""
        self._waiters[build][waiter.agent, waiter.checkout] = waiter

    def drop_waiter(self, build: str, waiter: Waiter) -> None:
        """It waits no more."""
        self._waiters[build].pop((waiter.agent, waiter.checkout), None)

    def close(self) -> None:
        """Nothing is held open."""

    def _still_at(self, build: str, step: Step) -> bool:
        scopes = [state.scope for state in step.states]
        if len(scopes) != len(set(scopes)):
            raise AssertionError(f"a row is written twice: {scopes}")
        rows = self._states[build]
        return all(rows.get(state.scope, State(state.scope)).revision == state.revision for state in step.states)

    def _written(self, build: str, step: Step) -> Step:
        now = self._clock()
        for state in step.states:
            self._states[build][state.scope] = state._replace(revision=state.revision + 1)
            self._highest[build] = max(self._highest[build], state.number)
        events = []
        for event in step.events:
            self._ids += 1
            events.append(event._replace(id=self._ids, at=now))
        self._events[build] += events
        for proof in step.proofs:
            others = [one for one in self._proofs[build] if one.shows != proof.shows]
            self._proofs[build] = [*others, proof._replace(at=now)]
        self._changed.notify_all()
        return step._replace(events=tuple(events))
