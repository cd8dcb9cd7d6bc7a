"""The verbs: claim, release, wait, status, reset and what a run of the check reports. Each puts a pure transition
to the store and says what came of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple

from buildguard.agents import processes
from buildguard.agents.identity import Agent, Unidentified
from buildguard.claims import rules, scope
from buildguard.claims.model import REPO, Caller, Event, Evidence, Outcome, Run, Snapshot, Status, Step, View
from buildguard.claims.scope import Dead, Placement
from buildguard.store.faults import Unavailable
from buildguard.store.sqlite import EVIDENCE_SECONDS, Store

FIXES_SEARCHED = 500
"""How many of the newest fixes are looked through: a fleet's private ones must not push out the shared one."""
LOOK_EVERY = 1.0
"""Seconds between two looks of a waiter at what makes no event: a fixer that died, a claim gone stale."""


class Answer(NamedTuple):
    """What came of a verb: the outcome, and the scope as it stands afterwards. `agent` is the caller, where it
    had to be known; `failures` are those of the caller's own run."""

    outcome: Outcome
    view: View
    snapshot: Snapshot
    agent: Agent | None = None
    placement: Placement | None = None
    failures: tuple[str, ...] = ()
    event: Event | None = None


class Moment(NamedTuple):
    """One look of a waiter: whose claim still holds it up (None: free), and the seconds left."""

    snapshot: Snapshot
    holder: View | None
    concerning: View
    left: float


class Guard:
    """The verbs, for one build, one checkout and one caller.

    `identify` is asked only when the caller's identity matters: that may cost a walk up the process tree. It may
    raise `agents.Unidentified`, and every verb `store.Unavailable`. `asked` is the scope that was demanded, `head`
    the checkout's HEAD, `born` since when there has been this checkout (seconds since the epoch; 0: always).
    """

    def __init__(
        self,
        store: Store,
        build: str,
        checkout: str,
        identify: Callable[[], Agent],
        stale_after: float,
        max_claim: float,
        asked: str | None = None,
        head: str = "",
        born: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.store = store
        self.build = build
        self.checkout = checkout
        self.asked = asked
        self._identify = identify
        self._born = born
        self._terms = (stale_after, max_claim, head)

    @cached_property
    def me(self) -> Agent:
        """Who is calling."""
        return self._identify()

    @property
    def me_if_known(self) -> Agent | None:
        """Who is calling, for a verb that can do without."""
        try:
            return self.me
        except Unidentified:
            return None

    @property
    def caller(self) -> Caller:
        """Who is calling, as the rules know it."""
        return Caller(self.me.id, self.checkout, self.me.process, *self._terms)

    def read(self) -> Snapshot:
        """All scopes as they are now."""
        return self.store.read(self.build)

    def fixes(self, now: float) -> list[Event]:
        """The fixes of the day before `now` (seconds since the epoch), newest first."""
        newest = reversed(self.store.history(self.build, FIXES_SEARCHED, fixes=True))
        return [fix for fix in newest if fix.at > now - EVIDENCE_SECONDS]

    def failed(self, run: Run | None, claiming: bool = True) -> Answer:
        """The check failed, or (without a run) the caller claims by hand: choose the scope and elect, at once."""
        before = self.read()
        dead = self._dead(before)
        caller = self.caller
        fixes = self.fixes(before.now) if run else []
        placements: list[Placement] = []

        def transition(snapshot: Snapshot) -> Step:
            placement = scope.place(snapshot, dead, caller, run, self.asked)
            placements[:] = [placement]
            snapshot, moved = scope.move(snapshot, placement, caller.agent)
            step = rules.failed(snapshot.view(placement.scope, dead), caller, run, claiming)
            step = scope.opened_again(step, fixes, run)
            step = step._replace(evidence=run.evidence if run else ())
            # What proves nothing must not move a claim, either.
            if moved is None or step.outcome is Outcome.OUTDATED:
                return step
            states = {state.scope: state for state in (*moved.states, *step.states)}
            return step._replace(states=tuple(states.values()), events=(*moved.events, *step.events))

        failures = run.failures if run else ()
        return self._put(before, transition, dead)._replace(placement=placements[0], failures=failures)

    def passed(self, run: Run) -> Answer:
        """The check passed: resolve whatever that resolves. The caller is identified only if somebody holds a
        claim."""
        before = self.read()
        dead = self._dead(before)
        claimed = any(state.claim is not None for state in before.states.values())
        caller = self.caller if claimed else None

        def transition(snapshot: Snapshot) -> Step:
            concerned = [self.asked or self.checkout]
            if self.asked is None or self._has_moved(snapshot):
                concerned += [REPO] if snapshot.state(REPO).status is not Status.PASSING else []
            steps = [rules.passed(snapshot.view(name, dead), caller, run) for name in concerned]
            chosen = next((step for step in steps if step.outcome is Outcome.FIXED), steps[0])
            return chosen._replace(
                states=tuple(state for step in steps for state in step.states),
                events=tuple(event for step in steps for event in step.events),
                evidence=run.evidence,
            )

        return self._put(before, transition, dead)

    def release(self, number: int | None, gave_up: bool, reason: str, left: Run | None = None) -> Answer:
        """Hand the role back. `left` is what the fixer leaves behind, where that matters."""
        before = self.read()
        dead = self._dead(before)
        caller = self.caller

        def transition(snapshot: Snapshot) -> Step:
            name = scope.concerning(snapshot, dead, caller.agent, self.checkout, self.asked)
            return rules.release(snapshot.view(name, dead), caller, number, gave_up, reason, left)

        return self._put(before, transition, dead)

    def reset(self) -> Answer:
        """Declare the scope passing, whoever holds it."""
        before = self.read()
        dead = self._dead(before)
        agent = self.caller.agent

        def transition(snapshot: Snapshot) -> Step:
            name = scope.concerning(snapshot, dead, agent, self.checkout, self.asked)
            return rules.reset(snapshot.view(name, dead), agent)

        return self._put(before, transition, dead)

    def status(self) -> Answer:
        """How it stands for this caller. No sign of life, and no right to write needed."""
        snapshot = self.read()
        dead = self._dead(snapshot)
        agent = self.me_if_known
        name = scope.concerning(snapshot, dead, agent.id if agent else None, self.checkout, self.asked)
        return Answer(Outcome.STATUS, snapshot.view(name, dead), snapshot, agent)

    def alive(self) -> None:
        """A sign of life for whatever the caller holds; writes only if it holds something."""
        snapshot = self.read()
        if not any(state.claim is not None for state in snapshot.states.values()):
            return
        agent = self.me.id
        if not any(view.held_by(agent) for view in map(snapshot.view, snapshot.states)):
            return

        def transition(now: Snapshot) -> Step:
            renewed = (rules.alive(now.view(name), agent) for name in now.states)
            return Step(Outcome.RENEWED, self.checkout, tuple(state for state in renewed if state is not None))

        self.store.update(self.build, transition)

    def waiting(self, timeout: float, agent: str | None, held_by: str | None = None) -> Iterator[Moment]:
        """Look until nobody else's live claim holds this caller up, or `timeout` seconds have passed; a moment
        at least every second, the last one free or with nothing left. `held_by` is the scope that was found
        busy, if one was. Holds no lock between two looks."""
        asked = held_by or self.asked
        deadline = time.monotonic() + timeout
        while True:
            snapshot = self.read()
            dead = self._dead(snapshot)
            holder = scope.holding_up(snapshot, dead, agent, self.checkout, asked)
            name = scope.concerning(snapshot, dead, agent, self.checkout, asked)
            left = max(0.0, deadline - time.monotonic())
            yield Moment(snapshot, holder, holder or snapshot.view(name, dead), left)
            if holder is None or left <= 0:
                return
            self.store.wait_for_change(self.build, snapshot.last_event, min(left, LOOK_EVERY))

    def waited(self, agent: str, view: View, seconds: float) -> None:
        """Note in the history who waited, for whom and how long."""
        claim = view.state.claim
        event = Event(
            Outcome.WAITED,
            view.state.scope,
            view.state.status,
            view.state.status,
            view.state.number,
            agent,
            other=claim.agent if claim else None,
            reason=f"{seconds:.0f} s",
            checkout=self.checkout,
        )
        # Only a note: a waiter may have no right to write.
        with suppress(Unavailable):
            self.store.update(self.build, lambda _: Step(Outcome.WAITED, view.state.scope, events=(event,)))

    def remember(self, about: str, tree: str, passed: bool) -> None:
        """Remember something of this tree for this agent alone."""
        kept = Evidence(about, tree, passed, 0.0, self.me.id)
        self.store.update(self.build, lambda _: Step(Outcome.PASSED, self.checkout, evidence=(kept,)))

    def use(self, kept: Evidence) -> bool:
        """Use up what `remember` kept; False if somebody was faster."""

        def transition(snapshot: Snapshot) -> Step:
            there = any(
                (one.check, one.tree, one.agent) == (kept.check, kept.tree, kept.agent) for one in snapshot.evidence
            )
            return Step(Outcome.PASSED if there else Outcome.OUTDATED, self.checkout, used=(kept,))

        return self.store.update(self.build, transition)[0].outcome is Outcome.PASSED

    def _put(self, before: Snapshot, transition: Callable[[Snapshot], Step], dead: Dead) -> Answer:
        step, after = transition(before), before
        # Whoever only hears that another is the fixer need not queue for the lock.
        if step.writes:
            step, after = self.store.update(self.build, transition)
        event = step.events[-1] if step.events else None
        known = self.__dict__.get("me")
        return Answer(step.outcome, after.view(step.scope, dead), after, known, event=event)

    def _has_moved(self, snapshot: Snapshot) -> bool:
        """Whether the claim of the checkout that was asked for may have become everybody's since."""
        claim = snapshot.state(REPO).claim
        empty = snapshot.state(self.checkout).status is Status.PASSING
        return self.asked == self.checkout and empty and claim is not None and claim.checkout == self.checkout

    def _dead(self, snapshot: Snapshot) -> Dead:
        """The claims whose own process is known to have ended, and those made in a work tree that stood here under
        the same name before. `psutil` is paid for only if there is a process to ask for."""
        held = [(state, state.claim) for state in snapshot.states.values() if state.claim is not None]
        return frozenset(
            (state.scope, state.number)
            for state, claim in held
            if (claim.checkout == self.checkout and claim.claimed_at < self._born())
            or (claim.process and processes.known_dead(claim.process))
        )
