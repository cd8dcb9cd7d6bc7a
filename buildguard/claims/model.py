"""The words of the design as values: build states, claims, events, runs. Frozen, without any I/O or clock."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

_NONE: Mapping[str, Any] = MappingProxyType({})

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
    DEAD = "its process has ended, or its work tree is gone"


class Claim(NamedTuple):
    """The fixer's lease. Times are seconds since the epoch, spans are seconds."""

    agent: str
    checkout: str
    claimed_at: float
    seen_at: float
    stale_after: float
    max_claim: float
    process: str | None = None
    attempts: int = 1


class State(NamedTuple):
    """One scope of one build. `number` is the fencing token: it only grows, over all scopes of the build.

    `head` is the one that the fixer's claim began on, else the one that was found broken. `began` are the failures
    that the breakage began with, `failures` those and the last run's; `staged` is what the fixer's commit held when
    its check failed last. `opened_after` and `passed_after` are the ids of the last event *before* the breakage was
    opened and before the last transition to passing: what tells whether a run began before or after either.
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
    began: tuple[str, ...] = ()
    staged: str = ""
    revision: int = 0


class Event(NamedTuple):
    """One line of the history. The store gives `id` and `at` when it writes it.

    `failures` and `check` are those of the breakage, `lasted` its seconds at its end. A fix turned `head` into
    `tree`, which is empty where that could not be told; a commit of it follows if `committing`. A claim that
    opens again what was fixed before says in `other` by whom and in `fixed_at` when.
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
    check: str = ""
    id: int = 0
    at: float = 0.0


class Silence(NamedTuple):
    """How long a claim's holder has been silent and how long it has held, in seconds, by the store's measure."""

    silent_for: float
    held_for: float


class Evidence(NamedTuple):
    """What a finished run proved about one tree, and what failed there. With an `agent`, it is that agent's alone:
    a pass that is good for one commit, or (not passed, `check` names a fix) the state of the fix's files when it
    was sent for it."""

    check: str
    tree: str
    passed: bool
    at: float
    agent: str = ""
    failures: tuple[str, ...] = ()


class Snapshot(NamedTuple):
    """All scopes of one build as one read saw them."""

    states: Mapping[str, State] = _NONE
    silences: Mapping[str, Silence] = _NONE
    evidence: tuple[Evidence, ...] = ()
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


class View(NamedTuple):
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


class Caller(NamedTuple):
    """The agent that acts, where and on which HEAD, and the terms of the claim it would get (seconds)."""

    agent: str
    checkout: str
    process: str | None = None
    stale_after: float = 900.0
    max_claim: float = 3600.0
    head: str = ""


class Run(NamedTuple):
    """One finished run of a check. `seen` is the id of the last event before it began; `head_tree` is HEAD's
    tree; `committing` says that a commit of `tree` on `branch` follows if it passed, with the change `staged`.
    `loose` is HEAD's tree with what was checked but will not be committed, empty if there is nothing such.
    `evidence` is what it proves about a tree, `has_fix` the event of a fix made elsewhere that its tree has, 0 if
    none is known."""

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
    has_fix: int = 0
    staged: str = ""
    loose: str = ""


class Step(NamedTuple):
    """What a transition decided: the answer, the scope that it is about, and what has to be written."""

    outcome: Outcome
    scope: str
    states: tuple[State, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    used: tuple[Evidence, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.states or self.events or self.evidence or self.used)


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
