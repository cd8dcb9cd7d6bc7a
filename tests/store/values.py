"""Values as a store has to keep them: some by name, and any at random."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from buildguard.claims.model import (
    Breakage,
    Claim,
    Content,
    Event,
    Kind,
    Landed,
    Outcome,
    Proof,
    Seen,
    Snapshot,
    State,
    Status,
    Step,
    Waiter,
)

HERE, THERE = "checkout:here", "checkout:there"
HEAD, FILES, OTHER_FILES = "c0" * 20, "f1" * 20, "f2" * 20
CLAIM = Claim("ann", HERE, 1000.0, 1000.0, 900.0, 3600.0, "a process", 2)
SEEN = Seen(HEAD, "refs/heads/main", FILES)
BREAKAGE = Breakage("pytest", 990.0, ("test_a",), ("test_a", "test_b"), "", {HERE: SEEN}, None, CLAIM)
FIXING = State(HERE, 1, 0, 995.0, 3, BREAKAGE)
CLAIMED = Event(Kind.CLAIMED, HERE, 1, "ann", before=Status.PASSING, after=Status.FIXING)
FIXED = Event(Kind.FIXED, HERE, 1, "ann", before=Status.FIXING, after=Status.PASSING)
PROOF = Proof("pytest", True, FILES, HERE, "ann")
WAITER = Waiter("bob", THERE, HERE, "ann", 10.0, 10.0)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def writing(
    *states: State, events: tuple[Event, ...] = (), proofs: tuple[Proof, ...] = ()
) -> Callable[[Snapshot], Step]:
    """A transition that writes just that."""
    return lambda _: Step(Outcome.CLAIMED, HERE, states, events, proofs)


BYTES = st.sampled_from("\udc80\udce9\udcff")
"""The lone surrogates that stand for bytes that are not Unicode."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | BYTES, max_size=20)
LINES = st.lists(TEXT, max_size=3).map(tuple)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | BYTES, max_size=20)
IDS = st.just("") | st.sampled_from([40, 64]).flatmap(
    lambda length: st.text("0123456789abcdef", min_size=length, max_size=length)
)
BRANCHES = st.sampled_from(
    ["", "refs/heads/main", "refs/heads/caf\udce9/x", "refs/heads/-x", "refs/buildguard/1/a.b"]
)
PATHS = st.lists(
    st.text(
        st.characters(exclude_characters="\0/", exclude_categories=["Cs"]) | BYTES, min_size=1, max_size=5
    ).filter(lambda part: part != ".."),
    min_size=1,
    max_size=3,
).map("/".join)
SOME_PATHS = st.lists(PATHS, max_size=3).map(tuple)
SECONDS = st.floats(0, 9e10)
TERMS = st.floats(1, 600_000)
SPANS = st.none() | st.floats(-1e11, 1e11)
COUNT = st.integers(-1, 2**37)
NUMBERS = st.integers(0, 2**29)
"""What others take, too; so are the times and terms here."""
CONTENTS = st.lists(
    st.builds(Content, PATHS, st.sampled_from(["", "100644", "120000", "160000"]), IDS), max_size=3
).map(tuple)
SOME_IDS = st.lists(IDS, max_size=2).map(tuple)
CLAIMS = st.builds(
    Claim,
    agent=NAMES,
    checkout=NAMES,
    claimed_at=SECONDS,
    seen_at=SECONDS,
    stale_after=TERMS,
    max_claim=TERMS,
    process=st.none() | TEXT,
    attempts=NUMBERS,
)
BREAKAGES = st.builds(
    Breakage,
    check=TEXT,
    since=SECONDS,
    began=LINES,
    failures=LINES,
    reason=TEXT,
    seen=st.dictionaries(NAMES, st.builds(Seen, head=IDS, branch=BRANCHES, files=st.none() | IDS), max_size=2),
    landed=st.none()
    | st.builds(
        Landed,
        at=SECONDS,
        checkout=NAMES,
        loose=SOME_PATHS,
        head=IDS,
        branch=BRANCHES,
        commits=SOME_IDS,
        contents=CONTENTS,
    ),
    claim=st.none() | CLAIMS,
)
STATES = st.builds(
    State,
    scope=NAMES,
    number=NUMBERS,
    revision=st.integers(0, 2**37),
    last_check=st.none() | SECONDS,
    changed=COUNT,
    breakage=st.none() | BREAKAGES,
    near=st.just(False),
)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    scope=NAMES,
    number=COUNT,
    agent=NAMES,
    other=st.none() | NAMES,
    reason=TEXT,
    check=TEXT,
    failures=LINES,
    attempts=COUNT,
    checkout=NAMES,
    head=IDS,
    branch=BRANCHES,
    before=st.sampled_from(Status),
    after=st.sampled_from(Status),
    lasted=SPANS,
    fixed_at=SPANS,
    heads=SOME_IDS,
    seen=st.lists(NAMES, max_size=2).map(tuple),
    commits=SOME_IDS,
    contents=CONTENTS,
    about=COUNT,
    id=st.integers(0, 2**37),
    at=SECONDS,
)
PROOFS = st.builds(
    Proof,
    runs=COUNT,
    avoided=COUNT,
    times=st.dictionaries(TEXT, COUNT, max_size=2),
    check=TEXT,
    passed=st.booleans(),
    files=IDS,
    checkout=NAMES,
    agent=NAMES,
    head=IDS,
    branch=BRANCHES,
    tree=IDS,
    seen=COUNT,
    failures=LINES,
    failed=IDS,
    changed=CONTENTS,
    written=SOME_PATHS,
    staged=SOME_PATHS,
    at=SECONDS,
)
