"""The words of the design as values: breakages, claims, states, events, runs. Frozen, without any I/O or clock.

Times are seconds since the epoch, spans are seconds.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

_NONE: Mapping[str, Any] = MappingProxyType({})

REPO = "repo"
"""The scope of what everybody builds on; every other scope is `checkout:<name>`."""
LANDING = 120.0
"""How long the rest of a fix may take to be committed before the breakage ends without it."""


class Status(StrEnum):
    """Where the build stands in one scope. Derived from the state, never written."""

    PASSING = "passing"
    BROKEN = "broken"
    FIXING = "fixing"


class Kind(StrEnum):
    """What an event of the history says happened."""

    CLAIMED = "claimed"
    TAKEN_OVER = "taken_over"
    REPORTED = "broken"
    SHARED = "shared"
    LANDED = "landed"
    FIXED = "fixed"
    RECOVERED = "recovered"
    RELEASED = "released"
    GAVE_UP = "gave_up"
    RESET = "reset"
    EVICTED = "evicted"
    SENT = "sent"
    WAITED = "waited"


class Outcome(StrEnum):
    """What a transition answers its caller; the words are the ones that `--json` shows."""

    CLAIMED = "claimed"
    RENEWED = "renewed"
    TAKEN_OVER = "taken_over"
    BUSY = "busy"
    REPORTED = "broken"
    OUTDATED = "outdated"
    ANOTHER_CHECK = "another_check"
    PASSED = "passed"
    PENDING = "not_committed"
    LANDED = "landed"
    FIXED = "fixed"
    RECOVERED = "recovered"
    LEFT = "left"
    RELEASED = "released"
    GAVE_UP = "gave_up"
    NOTHING_HELD = "nothing_held"
    NOT_YOURS = "not_yours"
    RESET = "reset"
    EVICTED = "evicted"
    NOTED = "noted"
    STATUS = "status"


class Stale(StrEnum):
    """Why a claim may be taken over."""

    SILENT = "silent"
    HELD_TOO_LONG = "held too long"
    DEAD = "its process has ended"
    GONE = "its checkout is gone"


class Claim(NamedTuple):
    """The fixer's lease on a breakage. `process` is the token of the process that claimed, or of its parent;
    the claim dies with it only where the agent's id *is* that process."""

    agent: str
    checkout: str
    claimed_at: float
    seen_at: float
    stale_after: float
    max_claim: float
    process: str | None = None
    attempts: int = 1


class Seen(NamedTuple):
    """A breakage as one checkout has it: HEAD, branch and files of the *first* run that failed there. `files` is
    a tree id, empty where it could not be told, None where no run has failed: it was claimed by hand."""

    head: str
    branch: str
    files: str | None


class Content(NamedTuple):
    """One path as it was when a check passed. `mode` and `blob` are empty where there was no such path."""

    path: str
    mode: str
    blob: str


class Landed(NamedTuple):
    """Some of what made the check pass is committed; `loose` are the paths of the rest. What others need to find it
    is kept for the end, which comes by time: as in the event of a fix."""

    at: float
    checkout: str
    loose: tuple[str, ...]
    head: str = ""
    branch: str = ""
    commits: tuple[str, ...] = ()
    contents: tuple[Content, ...] = ()


class Breakage(NamedTuple):
    """A check that fails. `began` are the failure ids that it began with, `failures` those and the last run's:
    who shares the breakage must find it when the fixer has come further and fails elsewhere. `check` is empty
    where the claim was made by hand, without a failing run."""

    check: str
    since: float
    began: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    reason: str = ""
    seen: Mapping[str, Seen] = _NONE
    landed: Landed | None = None
    claim: Claim | None = None


class State(NamedTuple):
    """One scope of one build. `number` is the fencing token of its last claim: it only grows, over all scopes of
    the build. `changed` is the id of the last event before a breakage was opened or closed here: a run that had
    begun by then says nothing of what came after. `revision` counts the writes. `near`: only this clone knows of
    it, though an engine is set."""

    scope: str
    number: int = 0
    revision: int = 0
    last_check: float | None = None
    changed: int = -1
    breakage: Breakage | None = None
    near: bool = False

    @property
    def status(self) -> Status:
        """Where the build stands here."""
        if self.breakage is None:
            return Status.PASSING
        return Status.BROKEN if self.breakage.claim is None else Status.FIXING

    @property
    def claim(self) -> Claim | None:
        """The claim, if there is one."""
        return self.breakage.claim if self.breakage else None

    @property
    def shared(self) -> bool:
        """Whether it is the repository's: by its scope, or because two checkouts were seen to have it."""
        return self.scope == REPO or (self.breakage is not None and len(self.breakage.seen) > 1)

    def had_in(self, checkout: str) -> bool:
        """Whether this checkout has the breakage: its runs count for it, and its claim binds here."""
        if self.breakage is None:
            return False
        here = self.scope in (checkout, REPO) or checkout in self.breakage.seen
        return here or (self.claim is not None and self.claim.checkout == checkout)


class Event(NamedTuple):
    """One line of the history. The store gives `id` and `at` when it writes it.

    `failures` and `check` are those of the breakage, `seen` the checkouts and `heads` the HEADs
    that had it, `lasted` its seconds.
    Of a fix, `contents` are the paths that changed as they passed, and `commits` (oldest first) have them. An event
    that opens again what was fixed before says in `other` by whom and in `fixed_at` when. Of a hand-over (`sent`),
    `about` is the id of the fix.
    """

    kind: Kind
    scope: str
    number: int
    agent: str
    other: str | None = None
    reason: str = ""
    check: str = ""
    failures: tuple[str, ...] = ()
    attempts: int = 0
    checkout: str = ""
    head: str = ""
    branch: str = ""
    before: Status = Status.PASSING
    after: Status = Status.PASSING
    lasted: float | None = None
    fixed_at: float | None = None
    heads: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    contents: tuple[Content, ...] = ()
    about: int = 0
    id: int = 0
    at: float = 0.0


class Proof(NamedTuple):
    """What a finished run showed: this check on these files passed, or failed so. Kept where it ran.

    `files` is the tree id of what the check saw, empty where that is not known. `tree` is what a commit that
    followed was to hold, empty without one. `seen` is the id of the last event before the run began. `changed` are
    the paths that differ from the files that had failed, as they passed; `written` those that the check itself
    writes, `staged` those of the commit in hand. `runs` have shown it, in `times` of which each failure id failed
    ("" where a run named none), and so many others were `avoided`: their callers took the verdict of one of these.
    The store gives `at`.
    """

    check: str
    passed: bool
    files: str
    checkout: str
    agent: str = ""
    head: str = ""
    branch: str = ""
    tree: str = ""
    seen: int = -1
    failures: tuple[str, ...] = ()
    failed: str = ""
    changed: tuple[Content, ...] = ()
    written: tuple[str, ...] = ()
    staged: tuple[str, ...] = ()
    runs: int = 1
    avoided: int = 0
    times: Mapping[str, int] = _NONE
    at: float = 0.0

    @property
    def shows(self) -> tuple[str, str, str, bool, str]:
        """What it shows: of two that show the same only the newer is kept."""
        return self.check, self.checkout, self.files, self.passed, self.failed


class Waiter(NamedTuple):
    """An agent that waits now for the fixer `other` of a scope, with its last sign of life."""

    agent: str
    checkout: str
    scope: str
    other: str
    since: float
    seen_at: float


class Snapshot(NamedTuple):
    """All scopes of one build as one read saw them. `dead` are the numbers of claims whose process is known to
    have ended, `gone` the checkouts that are known to be gone, `elsewhere` those of other clones: the store knows
    none of it. `waiters` are those who wait, where that was asked for: a passing hook does not need it."""

    states: Mapping[str, State] = _NONE
    proofs: tuple[Proof, ...] = ()
    last_event: int = 0
    now: float = 0.0
    highest: int = 0
    dead: frozenset[int] = frozenset()
    gone: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    waiters: tuple[Waiter, ...] = ()

    def state(self, scope: str) -> State:
        """The state of a scope; a missing row is `passing`."""
        return self.states.get(scope) or State(scope)

    def view(self, scope: str) -> "View":
        """What a transition needs of one scope."""
        state = self.state(scope)
        number = 1 + max((self.highest, *(known.number for known in self.states.values())))
        elsewhere = state.claim is not None and state.claim.checkout in self.elsewhere
        return View(state, self._stale(state), self.now, self.last_event, number, self.gone, elsewhere)

    def views(self) -> list["View"]:
        """All scopes, in one order."""
        return [self.view(name) for name in sorted(self.states)]

    def _stale(self, state: State) -> Stale | None:
        if state.claim is None:
            return None
        if state.number in self.dead:
            return Stale.DEAD
        if state.claim.checkout in self.gone:
            return Stale.GONE
        return staleness(state.claim, self.now)


class View(NamedTuple):
    """One scope at one moment, as the transitions see it. The claim was made in another clone, if `elsewhere`."""

    state: State
    stale: Stale | None
    now: float
    last_event: int
    next_number: int
    gone: frozenset[str] = frozenset()
    elsewhere: bool = False

    def held_by(self, agent: str | None) -> bool:
        """Whether that agent is the fixer, stale or not: for the holder, *mine* outranks *stale*. An agent of the
        same name in another clone is another one."""
        return self.state.claim is not None and self.state.claim.agent == agent and not self.elsewhere

    def held_live_by_another(self, agent: str | None) -> bool:
        """Whether somebody else is the fixer and may not be taken over."""
        return self.state.claim is not None and not self.held_by(agent) and self.stale is None

    @property
    def over(self) -> bool:
        """Whether the breakage has ended though nobody has written so yet: some of the fix landed, and the rest did
        not come in time."""
        breakage = self.state.breakage
        return breakage is not None and breakage.landed is not None and self.now - breakage.landed.at >= LANDING


class Caller(NamedTuple):
    """The agent that acts, where and on which HEAD, and the terms of the claim it would get."""

    agent: str
    checkout: str
    process: str | None = None
    stale_after: float = 900.0
    max_claim: float = 3600.0
    head: str = ""
    branch: str = ""


class Landing(NamedTuple):
    """How much of what made the check pass HEAD holds. `failed` are the files that failed, `changed` the paths in
    which those that passed differ from them, `loose` those that HEAD does not hold as they passed. `commits` are
    those since the failure that touch them, oldest first. Where a commit is in hand, `left` are those of `loose`
    that it does not hold, either."""

    failed: str
    changed: tuple[Content, ...] = ()
    loose: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    left: tuple[str, ...] | None = None


class Run(NamedTuple):
    """One finished run of a check, or the same run looked at again after HEAD has moved.

    `seen` is the id of the last event before it began. `files` are those that it saw (empty: not known), `clean`
    says that HEAD's tree is just that. `good` says that this check is known to pass on HEAD. Of the HEADs that
    failed here before, `follows` are those that HEAD is or descends from, whether the run passed or failed.
    `landings` tell, for each open breakage of this checkout, what has become of the files that failed; `fixed` is
    the event of a fix made elsewhere that this tree has and that did not help, 0 if none is known.
    """

    check: str
    seen: int
    checkout: str
    head: str = ""
    branch: str = ""
    files: str = ""
    failures: tuple[str, ...] = ()
    clean: bool = False
    good: bool = False
    follows: frozenset[str] = frozenset()
    landings: tuple[Landing, ...] = ()
    fixed: int = 0
    proof: Proof | None = None
    earlier: Proof | None = None
    """That of the failure which this run was to confirm."""

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """What there is to be kept of it."""
        return tuple(one for one in (self.earlier, self.proof) if one is not None)

    def still_at(self, seen: Seen) -> bool:
        """Whether this checkout still is where it failed: on that HEAD, on one that descends from it, or on the
        same branch, which may have been rebased. What passes after `git switch old` may never have been broken."""
        return self.head == seen.head or seen.head in self.follows or (self.branch == seen.branch != "")


class Step(NamedTuple):
    """What a transition decided: the answer, the scope that it is about and why it is that one, and what has to be
    written. `private`: it is known to be nobody's but this checkout's. `mirrors`: another store gave the events
    their times."""

    outcome: Outcome
    scope: str
    states: tuple[State, ...] = ()
    events: tuple[Event, ...] = ()
    proofs: tuple[Proof, ...] = ()
    why: str = ""
    private: bool = False
    mirrors: bool = False

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.states or self.events or self.proofs)


def staleness(claim: Claim, now: float) -> Stale | None:
    """Why this claim may be taken over by time, or None. Judged by the claim's own terms, never by the age of the
    breakage."""
    if now - claim.seen_at >= claim.stale_after:
        return Stale.SILENT
    if now - claim.claimed_at >= claim.max_claim:
        return Stale.HELD_TOO_LONG
    return None


def stale_in(claim: Claim, now: float) -> float:
    """Seconds until the claim goes stale by time if nothing is heard of it; 0 when it has."""
    by_silence = claim.seen_at + claim.stale_after
    return max(0.0, min(by_silence, claim.claimed_at + claim.max_claim) - now)
