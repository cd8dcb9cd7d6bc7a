"""The state machine: who may fix, who must wait, and what ends a breakage.

Pure functions over frozen values: no I/O, no clock, no process. `docs/design.md`, section 3, has the same
rules as one table; `tests/test_rules.py` tests every cell of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

REPO = "repo"
"""The scope of what everybody builds on; every other scope is `checkout:<name>`."""


class Status(StrEnum):
    """Where the build stands in one scope."""

    PASSING = "passing"
    BROKEN = "broken"
    FIXING = "fixing"


class Outcome(StrEnum):
    """What a transition did; the words are the ones that `--json` and the history show."""

    CLAIMED = "claimed"
    RENEWED = "renewed"
    TAKEN_OVER = "taken_over"
    BUSY = "busy"
    REPORTED = "broken"
    OUTDATED = "outdated"
    PASSED = "passed"
    FIXED = "fixed"
    RELEASED = "released"
    GAVE_UP = "gave_up"
    NOTHING_HELD = "nothing_held"
    NOT_YOURS = "not_yours"
    RESET = "reset"
    SHARED = "shared"
    WAITED = "waited"
    STATUS = "status"


class Stale(StrEnum):
    """Why a claim may be taken over."""

    SILENT = "silent"
    HELD_TOO_LONG = "held too long"
    DEAD = "its process has ended"


@dataclass(frozen=True, slots=True)
class Claim:
    """The fixer's lease. Times are seconds since the epoch, spans are seconds."""

    agent: str
    checkout: str
    claimed_at: float
    seen_at: float
    stale_after: float
    max_claim: float
    process: str | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """One scope of one build. `number` is the fencing token: it only grows, over all scopes of the build.

    `opened_after` and `passed_after` are the ids of the last event *before* the breakage was opened and before
    the last transition to passing: what tells whether a run began before or after either.
    """

    scope: str
    status: Status = Status.PASSING
    number: int = 0
    claim: Claim | None = None
    check: str = ""
    broken_since: float | None = None
    last_check: float | None = None
    updated_at: float | None = None
    reason: str = ""
    failures: tuple[str, ...] = ()
    head: str = ""
    opened_after: int = -1
    passed_after: int = -1
    superseded_agent: str | None = None
    superseded_number: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history. The store gives `id` and `at` when it writes it.

    `failures` are those of the breakage, `lasted` its seconds at its end. A claim that opens again what was
    fixed before says in `other` by whom and in `fixed_at` when.
    """

    kind: Outcome
    scope: str
    before: Status
    after: Status
    number: int
    agent: str
    other: str | None = None
    reason: str = ""
    failures: tuple[str, ...] = ()
    attempts: int = 0
    checkout: str = ""
    head: str = ""
    tree: str = ""
    branch: str = ""
    committing: bool = False
    lasted: float | None = None
    fixed_at: float | None = None
    id: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a claim's holder has been silent and how long it has held, in seconds, by the store's measure."""

    silent_for: float
    held_for: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finished run proved about one tree. With an `agent`, it is that agent's alone and good for once."""

    check: str
    tree: str
    passed: bool
    at: float
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All scopes of one build as one read saw them."""

    states: Mapping[str, State] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Event, ...] = ()
    last_event: int = 0
    now: float = 0.0

    def state(self, scope: str) -> State:
        """The state of a scope; a missing row is `passing`."""
        return self.states.get(scope) or State(scope)

    def view(self, scope: str, dead: frozenset[tuple[str, int]] = frozenset()) -> "View":
        """What a transition needs of one scope; `dead` holds (scope, number) of claims whose process is gone."""
        state = self.state(scope)
        stale = None
        if state.claim is not None:
            stale = staleness(state.claim, self.silences[scope], (scope, state.number) in dead)
        number = 1 + max((known.number for known in self.states.values()), default=0)
        return View(state, stale, self.now, self.last_event, number)


@dataclass(frozen=True, slots=True)
class View:
    """One scope at one moment, as the transitions see it."""

    state: State
    stale: Stale | None
    now: float
    last_event: int
    next_number: int

    def held_by(self, agent: str | None) -> bool:
        """Whether that agent is the fixer, stale or not: for the holder, *mine* outranks *stale*."""
        return self.state.claim is not None and self.state.claim.agent == agent

    def held_live_by_another(self, agent: str | None) -> bool:
        """Whether somebody else is the fixer and may not be taken over."""
        return self.state.claim is not None and self.state.claim.agent != agent and self.stale is None


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent that acts, where, and the terms of the claim it would get (seconds)."""

    agent: str
    checkout: str
    process: str | None = None
    stale_after: float = 900.0
    max_claim: float = 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run of a check. `seen` is the id of the last event before it began; `head_tree` is HEAD's
    tree; `committing` says that a commit of `tree` on `branch` follows if it passed; `evidence` is what it
    proves about a tree."""

    check: str
    seen: int
    checkout: str
    failures: tuple[str, ...] = ()
    head: str = ""
    head_tree: str = ""
    tree: str = ""
    branch: str = ""
    committing: bool = False
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What a transition decided: the answer, the scope that it is about, and what has to be written."""

    outcome: Outcome
    scope: str
    states: tuple[State, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    used: tuple[Evidence, ...] = ()


def staleness(claim: Claim, silence: Silence, dead: bool) -> Stale | None:
    """Why this claim may be taken over, or None. Judged by the claim's own terms, never by `broken_since`."""
    if dead:
        return Stale.DEAD
    if silence.silent_for >= claim.stale_after:
        return Stale.SILENT
    if silence.held_for >= claim.max_claim:
        return Stale.HELD_TOO_LONG
    return None


def stale_in(claim: Claim, silence: Silence) -> float:
    """Seconds until the claim goes stale by time if nothing is heard of it; 0 when it has."""
    return max(0.0, min(claim.stale_after - silence.silent_for, claim.max_claim - silence.held_for))


def failed(view: View, caller: Caller, run: Run | None, claiming: bool = True) -> Step:
    """A check failed, or (`run` is None) somebody claims by hand."""
    state = view.state
    if run is not None and run.seen <= state.passed_after:
        return Step(Outcome.OUTDATED, state.scope)
    if view.held_by(caller.agent):
        return _renewed(view, caller, run)
    if view.held_live_by_another(caller.agent):
        return Step(Outcome.BUSY, state.scope)
    if claiming:
        return _claimed(view, caller, run)
    if state.status is Status.PASSING:
        return _reported(view, caller, run)
    return Step(Outcome.REPORTED if state.claim is None else Outcome.BUSY, state.scope)


def passed(view: View, caller: Caller | None, run: Run) -> Step:
    """A check passed. It resolves the breakage only if it began after it, ran the same check, and is the
    fixer's or ran in the scope's own checkout."""
    state = view.state
    mine = caller is not None and view.held_by(caller.agent)
    seen = replace(state, last_check=view.now, updated_at=view.now)
    if mine and seen.claim is not None:
        seen = replace(seen, claim=replace(seen.claim, seen_at=view.now))
    if state.status is Status.PASSING or not _resolves(state, mine, run):
        return Step(Outcome.PASSED, state.scope, (seen,))
    event = _event(view, Outcome.FIXED, Status.PASSING, caller, run)
    after = replace(_passing(view, caller), last_check=view.now)
    return Step(Outcome.FIXED, state.scope, (after,), (event,))


def release(
    view: View, caller: Caller, number: int | None, gave_up: bool, reason: str, run: Run | None = None
) -> Step:
    """The fixer hands the role back: fixed by its word, or given up (broken, the reason kept, claimable at
    once). `number`, if given, must be the claim's own."""
    state = view.state
    if number is not None and state.number != number and state.claim is not None:
        return Step(Outcome.NOT_YOURS, state.scope)
    if state.claim is None:
        return Step(Outcome.NOTHING_HELD, state.scope)
    if not view.held_by(caller.agent):
        return Step(Outcome.NOT_YOURS, state.scope)
    if gave_up:
        after = replace(state, status=Status.BROKEN, claim=None, reason=reason, updated_at=view.now)
        event = _event(view, Outcome.GAVE_UP, Status.BROKEN, caller, run, reason)
        return Step(Outcome.GAVE_UP, state.scope, (after,), (event,))
    event = _event(view, Outcome.RELEASED, Status.PASSING, caller, run, reason)
    return Step(Outcome.RELEASED, state.scope, (_passing(view, caller),), (event,))


def reset(view: View, agent: str) -> Step:
    """Somebody declares the scope passing. A claim that this ends is superseded: its number is used up."""
    state = view.state
    if state.status is Status.PASSING:
        return Step(Outcome.RESET, state.scope)
    after = _passing(view, None)
    if state.claim is not None:
        after = replace(after, number=view.next_number)
    event = replace(
        _event(view, Outcome.RESET, Status.PASSING, None, None),
        agent=agent,
        number=after.number,
        other=state.claim.agent if state.claim else None,
    )
    return Step(Outcome.RESET, state.scope, (after,), (event,))


def alive(view: View, agent: str) -> State | None:
    """The row with a fresh sign of life, if that agent is its fixer. Renewals write the row, not an event."""
    claim = view.state.claim
    if claim is None or claim.agent != agent:
        return None
    return replace(view.state, claim=replace(claim, seen_at=view.now), updated_at=view.now)


def _resolves(state: State, mine: bool, run: Run) -> bool:
    if run.seen <= state.opened_after or state.check not in ("", run.check):
        return False
    return mine or state.claim is None or state.claim.checkout == run.checkout


def _renewed(view: View, caller: Caller, run: Run | None) -> Step:
    state = view.state
    if state.claim is None:
        raise ValueError("only a held claim can be renewed")
    claim = replace(state.claim, seen_at=view.now, process=caller.process)
    after = replace(state, claim=claim, updated_at=view.now)
    if run is not None:
        claim = replace(claim, attempts=claim.attempts + 1)
        after = replace(after, claim=claim, last_check=view.now, failures=run.failures or state.failures)
    return Step(Outcome.RENEWED, state.scope, (after,))


def _claimed(view: View, caller: Caller, run: Run | None) -> Step:
    state = view.state
    opened = _opened(view, run)
    claim = Claim(
        caller.agent,
        caller.checkout,
        view.now,
        view.now,
        caller.stale_after,
        caller.max_claim,
        caller.process,
    )
    after = replace(opened, status=Status.FIXING, number=view.next_number, claim=claim)
    outcome = Outcome.CLAIMED
    if state.claim is not None:
        outcome = Outcome.TAKEN_OVER
        after = replace(after, superseded_agent=state.claim.agent, superseded_number=state.number)
    elif state.superseded_agent == caller.agent:
        after = replace(after, superseded_agent=None, superseded_number=None)
    event = replace(_event(view, outcome, Status.FIXING, caller, run), number=after.number)
    if state.claim is not None:
        event = replace(event, other=state.claim.agent, reason=str(view.stale))
    return Step(outcome, state.scope, (after,), (event,))


def _reported(view: View, caller: Caller, run: Run | None) -> Step:
    after = replace(_opened(view, run), status=Status.BROKEN)
    event = _event(view, Outcome.REPORTED, Status.BROKEN, caller, run)
    return Step(Outcome.REPORTED, view.state.scope, (after,), (event,))


def _opened(view: View, run: Run | None) -> State:
    """The row of an open breakage; one that was open already keeps its beginning."""
    state = replace(view.state, updated_at=view.now)
    if run is not None:
        state = replace(state, last_check=view.now, failures=run.failures or state.failures)
    if view.state.status is not Status.PASSING:
        return state
    return replace(
        state,
        broken_since=view.now,
        opened_after=view.last_event,
        check=run.check if run else "",
        head=run.head if run else "",
        failures=run.failures if run else (),
        reason="",
    )


def _passing(view: View, caller: Caller | None) -> State:
    """The row after the breakage ended; a fixer that did not end it itself is remembered as superseded."""
    state = replace(
        view.state,
        status=Status.PASSING,
        claim=None,
        check="",
        broken_since=None,
        reason="",
        failures=(),
        passed_after=view.last_event,
        updated_at=view.now,
    )
    fixer = view.state.claim
    if fixer is not None and (caller is None or fixer.agent != caller.agent):
        state = replace(state, superseded_agent=fixer.agent, superseded_number=view.state.number)
    return state


def _event(
    view: View, kind: Outcome, after: Status, caller: Caller | None, run: Run | None, reason: str = ""
) -> Event:
    state = view.state
    agent = caller.agent if caller else ""
    failures = state.failures or (run.failures if run else ())
    event = Event(kind, state.scope, state.status, after, state.number, agent, reason=reason, failures=failures)
    if after is Status.PASSING and state.broken_since is not None:
        event = replace(event, lasted=view.now - state.broken_since)
    if state.claim is not None:
        event = replace(event, attempts=state.claim.attempts)
        if event.agent != state.claim.agent:
            event = replace(event, other=state.claim.agent)
    if caller is not None:
        event = replace(event, checkout=caller.checkout)
    if run is not None:
        event = replace(
            event,
            checkout=run.checkout,
            head=run.head,
            tree=run.tree,
            branch=run.branch,
            committing=run.committing,
        )
    return event
