"""The values that the tests of the heart share: one breakage and one claim, some minutes old."""

from buildguard.claims.model import (
    Breakage,
    Caller,
    Claim,
    Content,
    Landing,
    Run,
    Seen,
    Snapshot,
    State,
    Step,
    View,
)

HERE, THERE, THIRD = "checkout:here", "checkout:there", "checkout:third"
NOW = 10_000.0
LAST_EVENT = 20
HEAD, LATER, OTHER_HEAD = "1a2b3c4d5e6f", "2b3c4d5e6f70", "3c4d5e6f7081"
"""The commit that failed here, one that descends from it, and one that does not."""
MAIN, OLD_BRANCH = "refs/heads/main", "refs/heads/old"

ME = Caller("me", HERE, "my process", 900.0, 3600.0, HEAD, MAIN)
ANN = Claim("ann", HERE, claimed_at=9_700.0, seen_at=9_900.0, stale_after=900.0, max_claim=3600.0, attempts=2)
MINE = ANN._replace(agent="me")
FAILED_HERE = Seen(HEAD, MAIN, "failed files")

PASSING = State(HERE, number=5, revision=3, last_check=9_000.0, changed=12)
BROKEN = PASSING._replace(
    changed=14,
    breakage=Breakage("pytest", 4_000.0, ("test_a",), ("test_a",), "too hard", {HERE: FAILED_HERE}),
)
"""Broken for long: a staleness that is judged by the age of the breakage would trip over it."""

CODE, NOTE = Content("code", "100644", "mended"), Content("note", "100644", "written")
ALL = Landing("failed files", (CODE, NOTE), (), ("c1", "c2"))
SOME = ALL._replace(loose=("note",), commits=("c1",))
NOTHING = ALL._replace(loose=("code", "note"), commits=())
UNCHANGED = Landing("failed files")

RUN = Run("pytest", LAST_EVENT, HERE, HEAD, MAIN, "files of the run", ("test_b",))
PASS = RUN._replace(failures=(), head=LATER, follows=frozenset({HEAD}), landings=(ALL,))


def fixing(claim: Claim = ANN, state: State = BROKEN) -> State:
    """That state, with this claim on its breakage."""
    return breakage(state, claim=claim)


def breakage(state: State, **changes: object) -> State:
    """That state, with these fields of its breakage changed."""
    assert state.breakage is not None
    return state._replace(breakage=state.breakage._replace(**changes))  # type: ignore[arg-type]


def of(state: State) -> Breakage:
    """The breakage that has to be open."""
    assert state.breakage is not None
    return state.breakage


def held(state: State) -> Claim:
    """The claim that has to be there."""
    assert state.claim is not None
    return state.claim


def only(step: Step) -> State:
    """The one row that a step writes."""
    (state,) = step.states
    return state


def snapshot_of(*states: State, now: float = NOW) -> Snapshot:
    """All scopes of a build, as the last event left them."""
    return Snapshot({state.scope: state for state in states}, last_event=LAST_EVENT, now=now)


def view_of(state: State, now: float = NOW) -> View:
    """One scope of a build in which another one holds the highest number, 7: the next one is 8."""
    return snapshot_of(state, State(THIRD, number=7), now=now).view(state.scope)
