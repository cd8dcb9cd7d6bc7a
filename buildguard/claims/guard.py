"""The verbs: claim, release, wait, status, reset and what a run of the check reports. Each puts a pure transition
to the store and says what came of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple, Protocol

from buildguard.claims import flakiness, rules, scope
from buildguard.claims.model import (
    Caller,
    Event,
    Outcome,
    Proof,
    Run,
    Snapshot,
    State,
    Step,
    View,
    Waiter,
)
from buildguard.claims.store import Store, Transition
from buildguard.errors import Unavailable, Unidentified

SEARCHED = 200
"""How many of the newest events are looked through for a fix."""
WAITER_LOOKS_EVERY = 0.25
"""Seconds between two looks of a waiter at what makes no event: a HEAD that moved, a fixer that died."""
_URGENT = (
    Outcome.PENDING,
    Outcome.LANDED,
    Outcome.FIXED,
    Outcome.RECOVERED,
    Outcome.LEFT,
    Outcome.PASSED,
)
"""What a pass may come to. Of several breakages, the first of these is told: it asks most of the caller."""
WAITER_RENEWS = 60.0
WAITER_STALE = 180.0
"""After how many seconds a waiter gives a sign of life again, and without one counts as gone."""
SKEW = 5.0
"""Seconds by which another process's clock may be ahead before its times count as of the future."""


class Identity(Protocol):
    """Who is calling, as the rules need to know it."""

    @property
    def id(self) -> str:
        """Two calls are by the same agent exactly when their ids are equal."""

    @property
    def process(self) -> str | None:
        """The token of the process that the id stands and falls with."""


class World(Protocol):
    """What the guard has to be told of the world outside the store."""

    def identify(self) -> Identity:
        """Who is calling; may walk up the process tree. Raises `Unidentified`."""

    def dead(self, agent: str, process: str) -> bool:
        """Whether the process that an agent's id stands for is known to have ended."""

    def gone(self, checkout: str) -> bool:
        """Whether that checkout is known to be gone."""

    def elsewhere(self, checkout: str) -> bool:
        """Whether that checkout is of another clone, whose agents are others, whatever their names."""


class Terms(NamedTuple):
    """The terms of a claim made now (seconds), and where it would be made."""

    stale_after: float
    max_claim: float
    head: str = ""
    branch: str = ""


class Answer(NamedTuple):
    """What came of a verb: the outcome, and the scope as it stands afterwards. `agent` is the caller, where it had
    to be known, `why` says why it is that scope; `run` is the caller's own, `event` what was last written of it."""

    outcome: Outcome
    view: View
    snapshot: Snapshot
    agent: Identity | None = None
    why: str = ""
    run: Run | None = None
    event: Event | None = None


class Moment(NamedTuple):
    """One look of a waiter: whose claim still holds it up (None: free), and the seconds left."""

    snapshot: Snapshot
    holder: View | None
    concerning: View
    left: float


class Guard:
    """The verbs, for one build, one checkout and one caller. Every verb may raise `Unavailable`, and those that
    claim or release `Unidentified`. `asked` is the scope that was demanded; `told` hears of each event."""

    def __init__(
        self, store: Store, build: str, checkout: str, world: World, terms: Terms, asked: str | None = None
    ) -> None:
        self.store = store
        self.build = build
        self.checkout = checkout
        self.asked = asked
        self.terms = terms
        self._world = world
        self.told: Callable[[Event], None] = lambda _: None

    @cached_property
    def me(self) -> Identity:
        """Who is calling."""
        return self._world.identify()

    @property
    def me_if_known(self) -> Identity | None:
        """Who is calling, for a verb that can do without."""
        try:
            return self.me
        except Unidentified:
            return None

    @property
    def caller(self) -> Caller:
        """Who is calling, as the rules know it."""
        return Caller(self.me.id, self.checkout, self.me.process, *self.terms)

    def read(self, fresh: bool = False) -> Snapshot:
        """All scopes as they are now (`fresh`), or as this machine last saw them. A time that lies in the future is
        put right, and a breakage ends that is over by time, where that can be written."""
        snapshot = self._known(self.store.read(self.build, fresh))
        if any(view.over or self._ahead(view.state, snapshot.now) for view in snapshot.views()):
            # Who may only read goes on with what was read.
            with suppress(Unavailable):
                snapshot = self._known(self._update(_put_right)[1])
        return snapshot

    def history(self, limit: int = SEARCHED) -> list[Event]:
        """The newest events, oldest first."""
        return self.store.history(self.build, limit)

    def failed(self, run: Run | None, claiming: bool = True, history: Sequence[Event] = ()) -> Answer:
        """The check failed, or (without a run) the caller claims by hand: choose the scope and elect, at once.
        `history` is what may have been fixed before."""
        caller = self.caller

        def transition(snapshot: Snapshot) -> Step:
            placement = scope.place(snapshot, caller, run, self.asked)
            step = rules.failed(snapshot.view(placement.scope), caller, run, claiming)
            step = scope.opened_again(step, history, run)
            private = run is not None and run.good
            return step._replace(proofs=_counted(run, snapshot), why=step.why or placement.why, private=private)

        try:
            answer = self._put(transition)
        except Unavailable:
            # Who may only read is bound by others' claims all the same.
            snapshot = self._known(self.store.read(self.build))
            step = transition(snapshot)
            if step.outcome is not Outcome.BUSY:
                raise
            return Answer(step.outcome, snapshot.view(step.scope), snapshot, self.me, step.why, run)
        return answer._replace(run=run, snapshot=self.with_waiters(answer.snapshot))

    def passed(self, run: Run, agent: str | None) -> Answer:
        """The check passed: tell every breakage that this checkout has. `agent` is None where nobody's claim can be
        concerned."""

        def transition(snapshot: Snapshot) -> Step:
            own = self.asked or run.checkout
            others = [name for name in sorted(snapshot.states) if snapshot.state(name).had_in(run.checkout)]
            # No scope twice: each step is made from the row as it was read.
            names = dict.fromkeys((own, *others))
            steps = [rules.passed(snapshot.view(name), agent, run) for name in names]
            told = min(steps, key=lambda step: _URGENT.index(step.outcome))
            return told._replace(
                states=tuple(state for step in steps for state in step.states),
                events=tuple(event for step in steps for event in step.events),
                proofs=_counted(run, snapshot),
            )

        return self._put(transition)._replace(run=run)

    def release(self, number: int | None, gave_up: bool, reason: str, commits: tuple[str, ...] = ()) -> Answer:
        """Hand the role back. `commits` are those made since the claim."""
        caller = self.caller

        def transition(snapshot: Snapshot) -> Step:
            name = scope.concerning(snapshot, caller.agent, self.checkout, self.asked)
            return rules.release(snapshot.view(name), caller, number, gave_up, reason, commits)

        return self._put(transition)

    def reset(self, evict: bool = False) -> Answer:
        """Declare the scope passing, whoever holds it; or only end the claim."""
        agent = self.me.id

        def transition(snapshot: Snapshot) -> Step:
            name = scope.concerning(snapshot, agent, self.checkout, self.asked)
            return rules.reset(snapshot.view(name), agent, evict)

        return self._put(transition)

    def status(self, snapshot: Snapshot) -> Answer:
        """What this caller has to know of the build. Read only: renews nothing."""
        agent = self.me_if_known
        name = scope.concerning(snapshot, agent.id if agent else None, self.checkout, self.asked)
        return Answer(Outcome.STATUS, snapshot.view(name), self.with_waiters(snapshot), agent)

    def with_waiters(self, snapshot: Snapshot) -> Snapshot:
        """The same, with those who wait and have given a sign of life lately."""
        ages: list[tuple[float, Waiter]] = []
        # Who waits is good to know: a claim that was made is not lost for it.
        with suppress(Unavailable):
            ages = [(snapshot.now - one.seen_at, one) for one in self.store.waiters(self.build)]
        return snapshot._replace(waiters=tuple(one for age, one in ages if -SKEW <= age < WAITER_STALE))

    def alive(self) -> None:
        """A sign of life for whatever the caller holds; writes only if it holds something."""
        snapshot = self.read()
        if not any(state.claim is not None for state in snapshot.states.values()):
            return
        agent = self.me.id
        if not any(view.held_by(agent) for view in snapshot.views()):
            return

        def transition(now: Snapshot) -> Step:
            renewed = (rules.alive(view, agent) for view in now.views())
            return Step(Outcome.NOTED, self.checkout, tuple(state for state in renewed if state is not None))

        self.store.update(self.build, transition)

    def waiting(self, timeout: float, held_by: str | None = None) -> Iterator[Moment]:
        """Look until nobody else's live claim holds this caller up, or `timeout` seconds have passed; the last
        moment is free or has nothing left. `held_by` is the scope that was found busy, if one was. Holds nothing
        between two looks; meanwhile the others know of the wait."""
        asked = held_by or self.asked
        agent = self.me.id
        deadline = time.monotonic() + timeout
        snapshot = self.read()
        # Who was found busy though the fix has landed here would else check again and again, without a wait.
        failed_since = held_by is not None and scope.landed_in(snapshot.state(held_by), self.checkout)
        said: Waiter | None = None
        try:
            while True:
                holder = scope.holding_up(snapshot, agent, self.checkout, asked, failed_since)
                name = scope.concerning(snapshot, agent, self.checkout, asked)
                left = max(0.0, deadline - time.monotonic())
                yield Moment(snapshot, holder, holder or snapshot.view(name), left)
                if holder is None or left <= 0:
                    return
                said = self._waits(said, holder.state, snapshot.now)
                self.store.wait_for_change(self.build, snapshot.last_event, min(left, WAITER_LOOKS_EVERY))
                snapshot = self.read()
        finally:
            if said is not None:
                # Only a note, here and below: a waiter may have no right to write.
                with suppress(Unavailable):
                    self.store.drop_waiter(self.build, said)

    def _waits(self, said: Waiter | None, state: State, now: float) -> Waiter:
        """Let the others know of a wait: at first, when another is waited for, and rarely between."""
        fixer = state.claim.agent if state.claim else ""
        waiter = Waiter(self.me.id, self.checkout, state.scope, fixer, said.since if said else now, now)
        if said is not None and said[:4] == waiter[:4] and 0 <= now - said.seen_at < WAITER_RENEWS:
            return said
        with suppress(Unavailable):
            self.store.keep_waiter(self.build, waiter)
        return waiter

    def note(self, event: Event) -> None:
        """Note in the history what moves no state: who waited, who was sent for a fix."""
        event = event._replace(agent=self.me.id, checkout=self.checkout)
        # Only a note: a waiter may have no right to write.
        with suppress(Unavailable):
            self._update(lambda _: Step(Outcome.NOTED, event.scope, events=(event,)))

    def _put(self, transition: Transition) -> Answer:
        step, after = self._update(lambda snapshot: transition(self._known(snapshot)))
        after = self._known(after)
        event = next((one for one in reversed(step.events) if one.scope == step.scope), None)
        return Answer(step.outcome, after.view(step.scope), after, self.__dict__.get("me"), step.why, event=event)

    def _update(self, transition: Transition) -> tuple[Step, Snapshot]:
        step, after = self.store.update(self.build, transition)
        for event in step.events:
            self.told(event)
        return step, after

    def _known(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what the store cannot know: which claims' processes and which checkouts are gone."""
        held = [(state.number, state.claim) for state in snapshot.states.values() if state.claim is not None]
        seen = {name for state in snapshot.states.values() if state.breakage for name in state.breakage.seen}
        others = {*seen, *(claim.checkout for _, claim in held)} - {self.checkout}
        dead = (number for number, one in held if one.process and self._world.dead(one.agent, one.process))
        elsewhere = frozenset(claim.checkout for _, claim in held if self._world.elsewhere(claim.checkout))
        gone = frozenset(filter(self._world.gone, others))
        return snapshot._replace(dead=frozenset(dead), gone=gone, elsewhere=elsewhere)

    def _ahead(self, state: State, now: float) -> bool:
        return rules.not_from_the_future(state, now + SKEW) is not None


def _counted(run: Run | None, snapshot: Snapshot) -> tuple[Proof, ...]:
    found: list[Proof] = []
    for proof in run.proofs if run else ():
        # Both may show the same: the second is counted on top of the first.
        found.append(flakiness.counted(proof, (*snapshot.proofs, *found)))
    return tuple(found)


def _put_right(snapshot: Snapshot) -> Step:
    states, events = [], []
    for view in snapshot.views():
        end = rules.settled(view)
        state = end[0] if end else rules.not_from_the_future(view.state, snapshot.now)
        states += [state] if state else []
        events += [end[1]] if end else []
    return Step(Outcome.NOTED, "", tuple(states), tuple(events))
