"""Whose breakage is it: where a failure belongs, how a claim becomes everybody's, what a bare command acts on."""

from dataclasses import dataclass

import pytest

from buildguard.claims import rules, scope
from buildguard.claims.model import (
    REPO,
    Caller,
    Claim,
    Event,
    Evidence,
    Outcome,
    Run,
    Silence,
    Snapshot,
    State,
    Status,
    Step,
)
from buildguard.claims.scope import Placement

HERE, THERE, THIRD = "checkout:here", "checkout:there", "checkout:third"
ME = Caller("me", HERE)
HEAD = "1a2b3c4d5e6f"
RUN = Run("pytest", 20, HERE, ("test_a", "test_b"), HEAD, "head tree")
NO_IDS = RUN._replace(failures=())
CLEAN_PASS = Evidence("pytest", "head tree", True, 500.0)
CLEAN_FAILURE = CLEAN_PASS._replace(passed=False, failures=("test_b", "test_a"))
OTHER_FAILURE = CLEAN_FAILURE._replace(failures=("test_c",))
DEAD = frozenset({(THERE, 3)})


def held(
    where: str, agent: str = "ann", *, made_in: str = "", failures: tuple[str, ...] = ("test_a",), number: int = 3
) -> State:
    """A scope with a fixer; the claim was made in its own checkout unless said otherwise."""
    claim = Claim(agent, made_in or where, claimed_at=900.0, seen_at=950.0, stale_after=900.0, max_claim=3600.0)
    return State(
        where,
        Status.FIXING,
        number,
        claim,
        "pytest",
        broken_since=800.0,
        failures=failures,
        head=HEAD,
        opened_after=7,
        passed_after=5,
        revision=2,
    )


def broken(where: str, failures: tuple[str, ...] = ("test_a",), number: int = 2) -> State:
    return held(where, failures=failures, number=number)._replace(status=Status.BROKEN, claim=None)


def seen(*states: State, silent_for: float = 50.0, evidence: tuple[Evidence, ...] = ()) -> Snapshot:
    silences = {state.scope: Silence(silent_for, 100.0) for state in states if state.claim}
    return Snapshot({state.scope: state for state in states}, silences, evidence, last_event=20, now=1000.0)


@dataclass(frozen=True)
class Case:
    """A failure in this checkout, and where it belongs."""

    name: str
    states: tuple[State, ...]
    where: str
    why: str = ""
    run: Run | None = RUN
    asked: str | None = None
    moved_from: str | None = None
    silent_for: float = 50.0
    dead: frozenset[tuple[str, int]] = frozenset()
    evidence: tuple[Evidence, ...] = ()
    at: float | None = None


PRIVATE = "HEAD 1a2b3c4 passed this check at {at}: the breakage is in this checkout's changes"
OTHERWISE = "HEAD 1a2b3c4 failed this check at {at}, but not so: the breakage is in this checkout's changes"
INHERITED = "HEAD 1a2b3c4 failed this check at {at} too: the breakage was there before"
PLACES = [
    Case("nothing known", (), HERE),
    Case("the scope that was asked for outranks all", (held(HERE), held(THERE)), REPO, asked=REPO),
    Case("another's live claim in this checkout is shared, whatever fails", (held(HERE, failures=("x",)),), HERE),
    Case("a stale claim in this checkout does not hide one elsewhere that fails alike", (held(HERE), held(THERE)),
         REPO, "test_a fails for ann too", moved_from=THERE, dead=frozenset({(HERE, 3)})),
    Case("one's own claim here is kept though it is stale", (held(HERE, "me"), held(REPO, made_in=THERE)), HERE,
         silent_for=900.0),
    Case("a claim that was made here and is everybody's by now", (held(REPO, "me", made_in=HERE),), REPO),
    Case("another's live claim that was made here and is everybody's by now",
         (held(REPO, made_in=HERE, failures=("x",)),), REPO),
    Case("a breakage elsewhere that fails alike becomes the repository's", (held(THERE),), REPO,
         "test_a fails for ann too", moved_from=THERE),
    Case("more than one failure in common", (held(THERE, failures=("test_b", "test_a", "test_c")),), REPO,
         "test_a and 1 more fails for ann too", moved_from=THERE),
    Case("nothing in common", (held(THERE, failures=("test_c",)),), HERE),
    Case("a dead fixer elsewhere binds nobody", (held(THERE),), HERE, dead=DEAD),
    Case("a silent fixer elsewhere binds nobody", (held(THERE),), HERE, silent_for=900.0),
    Case("a broken checkout elsewhere that nobody fixes binds nobody", (broken(THERE),), HERE),
    Case("everybody's breakage that fails alike", (held(REPO, made_in=THERE),), REPO, "test_a fails for ann too"),
    Case("everybody's breakage that nobody fixes", (broken(REPO),), REPO, "test_a fails for others too"),
    Case("everybody's breakage with a stale fixer", (held(REPO, made_in=THERE),), REPO, "test_a fails for ann too",
         silent_for=900.0),
    Case("everybody's breakage is another one", (held(REPO, made_in=THERE, failures=("test_c",)),), HERE),
    Case("no ids on either side, the same commit", (held(THERE, failures=()),), REPO,
         "ann started from the same commit 1a2b3c4", run=NO_IDS, moved_from=THERE),
    Case("no ids on either side, everybody's breakage, nobody on it", (broken(REPO, ()),), REPO,
         "others started from the same commit 1a2b3c4", run=NO_IDS),
    Case("no ids on either side, another commit", (held(THERE, failures=()),), HERE,
         run=NO_IDS._replace(head="f00")),
    Case("no ids on either side, no commit at all", (held(THERE, failures=())._replace(head=""),), HERE,
         run=NO_IDS._replace(head="", head_tree="")),
    Case("no ids on either side, but HEAD is known to pass", (held(THERE, failures=()),), HERE, PRIVATE, run=NO_IDS,
         evidence=(CLEAN_PASS,), at=500.0),
    Case("no ids on either side, and HEAD is known to fail", (held(THERE, failures=()),), REPO,
         "ann started from the same commit 1a2b3c4", run=NO_IDS, evidence=(CLEAN_FAILURE._replace(failures=()),),
         moved_from=THERE),
    Case("no ids on either side, the same commit, another check", (held(THERE, failures=()),), HERE,
         run=NO_IDS._replace(check="ruff")),
    Case("no ids on either side, claimed by hand without a check", (held(THERE, failures=())._replace(check=""),),
         HERE, run=NO_IDS),
    Case("ids on one side only are nothing in common", (held(THERE, failures=()),), HERE),
    Case("ids on the other side only are nothing in common", (held(THERE),), HERE, run=NO_IDS),
    Case("an identical live failure outranks a HEAD that is known to pass", (held(THERE),), REPO,
         "test_a fails for ann too", evidence=(CLEAN_PASS,), moved_from=THERE),
    Case("HEAD is known to pass", (), HERE, PRIVATE, evidence=(CLEAN_PASS,), at=500.0),
    Case("HEAD is known to fail", (), HERE, INHERITED, evidence=(CLEAN_FAILURE,), at=500.0),
    Case("HEAD is known to fail, as a whole", (), HERE, INHERITED, run=NO_IDS,
         evidence=(CLEAN_FAILURE._replace(failures=()),), at=500.0),
    Case("HEAD is known to fail, but otherwise", (), HERE, OTHERWISE, evidence=(OTHER_FAILURE,), at=500.0),
    Case("what is known of another check says nothing", (), HERE, evidence=(CLEAN_PASS._replace(check="ruff"),)),
    Case("what is known of another tree says nothing", (), HERE, evidence=(CLEAN_PASS._replace(tree="other"),)),
    Case("what one agent kept for itself says nothing", (), HERE, evidence=(CLEAN_PASS._replace(agent="me"),)),
    Case("two claims elsewhere, and the repository's is taken: share, and leave it where it is",
         (held(THERE), held(REPO, "bob", made_in=THIRD, failures=("x",), number=4)), THERE,
         "test_a fails for ann too"),
    Case("a claim by hand is this checkout's", (held(THERE),), HERE, run=None),
    Case("a claim by hand where one lives here", (held(REPO, made_in=HERE),), REPO, run=None),
]  # fmt: skip


@pytest.mark.parametrize("case", PLACES, ids=lambda case: case.name)
def test_where_a_failure_belongs_and_why(case: Case) -> None:
    snapshot = seen(*case.states, silent_for=case.silent_for, evidence=case.evidence)
    found = scope.place(snapshot, case.dead, ME, case.run, case.asked)
    assert found == Placement(case.where, case.why, case.at, case.moved_from)


# A fix that was made elsewhere

FIX = Event(
    Outcome.FIXED, REPO, Status.FIXING, Status.PASSING, 3, "ann", failures=("test_a",), checkout=THERE, head="f00",
    check="pytest", id=9,
)  # fmt: skip


@dataclass(frozen=True)
class Travelling:
    """Fixes, newest first, and which of them this run is to be told of."""

    name: str
    fixes: tuple[Event, ...]
    found: Event | None
    run: Run = RUN
    evidence: tuple[Evidence, ...] = ()


WHOLE_FIX = FIX._replace(failures=())
PRIVATE_FIX = FIX._replace(scope=THERE)
UNHELD = FIX._replace(before=Status.BROKEN)
TRAVELLING = [
    Travelling("no fix", (), None),
    Travelling("one of a shared breakage that fails alike", (FIX,), FIX),
    Travelling("the newest of two", (FIX._replace(id=12), FIX), FIX._replace(id=12)),
    Travelling("one of another failure", (FIX._replace(failures=("test_c",)),), None),
    Travelling("one of another failure hides none that fails alike", (FIX._replace(failures=("c",)), FIX), FIX),
    Travelling("one that was made here", (FIX._replace(checkout=HERE),), None),
    Travelling("one of a private breakage", (PRIVATE_FIX,), None),
    Travelling("one of a private breakage that began on the same HEAD", (PRIVATE_FIX._replace(head=HEAD),), None),
    Travelling("one of a private breakage that is known to be in the HEAD that both began on",
               (PRIVATE_FIX._replace(head=HEAD),), PRIVATE_FIX._replace(head=HEAD), evidence=(CLEAN_FAILURE,)),
    Travelling("one of a private breakage, on a HEAD that is known to fail otherwise",
               (PRIVATE_FIX._replace(head=HEAD),), None, evidence=(OTHER_FAILURE,)),
    Travelling("one of a private breakage that began elsewhere", (PRIVATE_FIX,), None, evidence=(CLEAN_FAILURE,)),
    Travelling("what is known of another check says nothing of HEAD", (PRIVATE_FIX._replace(head=HEAD),), None,
               evidence=(CLEAN_FAILURE._replace(check="ruff"),)),
    Travelling("a pass while nobody was fixing", (UNHELD,), None),
    Travelling("a pass while nobody was fixing, on the same HEAD", (UNHELD._replace(head=HEAD),),
               UNHELD._replace(head=HEAD)),
    Travelling("no ids on either side, the same commit", (WHOLE_FIX._replace(head=HEAD),),
               WHOLE_FIX._replace(head=HEAD), run=NO_IDS),
    Travelling("no ids on either side, another commit", (WHOLE_FIX,), None, run=NO_IDS),
    Travelling("no ids on either side, no commit at all", (WHOLE_FIX._replace(head=""),), None,
               run=NO_IDS._replace(head="")),
    Travelling("no ids on either side, another check", (WHOLE_FIX._replace(head=HEAD, check="ruff"),), None,
               run=NO_IDS),
    Travelling("ids on one side only", (WHOLE_FIX._replace(head=HEAD),), None),
]  # fmt: skip


@pytest.mark.parametrize("case", TRAVELLING, ids=lambda case: case.name)
def test_which_fix_elsewhere_is_this_runs(case: Travelling) -> None:
    found = scope.fixed_elsewhere(seen(evidence=case.evidence), case.fixes, HERE, case.run)
    assert next(found, None) == case.found


@pytest.mark.parametrize(
    ("evidence", "own"),
    [((), False), ((CLEAN_PASS,), True), ((CLEAN_FAILURE,), False)],
    ids=["none", "pass", "fail"],
)
def test_what_is_known_of_head_tells_whether_only_an_own_change_can_have_failed(
    evidence: tuple[Evidence, ...], own: bool
) -> None:
    assert scope.own_change(seen(evidence=evidence), RUN, FIX) == own


@pytest.mark.parametrize(
    ("fix", "own"),
    [
        (FIX._replace(head=HEAD, at=600.0), False),
        (FIX._replace(head=HEAD, at=400.0), True),
        (FIX._replace(head="f00", at=600.0), True),
        (FIX._replace(head=HEAD, at=600.0, scope=THERE), True),
    ],
    ids=["shared, later, the same HEAD", "earlier", "another HEAD", "private"],
)
def test_a_shared_breakage_that_was_fixed_since_outranks_what_was_known_of_head(fix: Event, own: bool) -> None:
    assert scope.own_change(seen(evidence=(CLEAN_PASS,)), RUN, fix) == own


HERE_FIX = FIX._replace(checkout=HERE, at=600.0)
AGAIN = [
    ("nothing was fixed before", (), RUN, None),
    ("the same failure, fixed in this checkout", (HERE_FIX,), RUN, HERE_FIX),
    ("the newest of two", (HERE_FIX._replace(agent="bob"), HERE_FIX), RUN, HERE_FIX._replace(agent="bob")),
    ("another failure", (HERE_FIX._replace(failures=("test_c",)),), RUN, None),
    ("fixed elsewhere, and the fix is not here", (FIX,), RUN, None),
    ("fixed elsewhere, and the fix has come here", (FIX,), RUN._replace(has_fix=9), FIX),
    ("the whole check", (HERE_FIX._replace(failures=()),), NO_IDS, HERE_FIX),
    ("the whole of another check", (HERE_FIX._replace(failures=(), check="ruff"),), NO_IDS, None),
    ("claimed by hand, so nobody knows what is broken", (HERE_FIX,), None, None),
]


@pytest.mark.parametrize(("fixes", "run", "found"), [case[1:] for case in AGAIN], ids=[case[0] for case in AGAIN])
def test_a_breakage_that_is_open_again_has_its_old_history(
    fixes: tuple[Event, ...], run: Run | None, found: Event | None
) -> None:
    step = scope.opened_again(rules.failed(seen().view(HERE), ME, run), fixes, run)
    (event,) = step.events
    assert (event.other, event.fixed_at) == ((found.agent, found.at) if found else (None, None))


def test_a_breakage_that_was_open_all_the_time_is_not_broken_again() -> None:
    step = rules.failed(seen(broken(HERE)).view(HERE), ME, RUN)
    assert scope.opened_again(step, (HERE_FIX,), RUN) == step


# A checkout's claim becomes the repository's


def moved(*states: State) -> tuple[Snapshot, Step]:
    snapshot, step = scope.move(seen(*states), Placement(REPO, "", moved_from=THERE), "me")
    assert step is not None
    return snapshot, step


def test_without_a_move_nothing_is_written() -> None:
    before = seen(held(THERE))
    assert scope.move(before, Placement(HERE), "me") == (before, None)


def test_a_moved_claim_keeps_its_holder_its_number_and_its_beginning() -> None:
    after, _ = moved(held(THERE))
    repo = after.state(REPO)
    assert (repo.status, repo.claim, repo.number) == (Status.FIXING, held(THERE).claim, 3)
    assert (repo.broken_since, repo.check, repo.failures, repo.opened_after) == (800.0, "pytest", ("test_a",), 7)


def test_the_checkout_that_a_claim_leaves_is_passing_and_keeps_its_number() -> None:
    after, _ = moved(held(THERE))
    left = after.state(THERE)
    assert (left.status, left.claim, left.number) == (Status.PASSING, None, 3)
    assert (left.broken_since, left.failures, left.check, left.reason) == (None, (), "", "")


def test_a_move_does_not_make_the_failure_that_caused_it_outdated() -> None:
    after, _ = moved(held(THERE))
    assert rules.failed(after.view(REPO), ME, RUN).outcome is Outcome.BUSY


def test_a_moved_claim_is_as_silent_as_it_was() -> None:
    after, _ = moved(held(THERE))
    assert after.silences[REPO] == Silence(50.0, 100.0)


@pytest.mark.parametrize(("repo_number", "other_number", "number"), [(2, 2, 3), (3, 2, 4), (9, 2, 10), (9, 12, 13)])
def test_the_number_never_goes_back_on_the_scope_that_a_claim_moves_to(
    repo_number: int, other_number: int, number: int
) -> None:
    other = broken(THIRD, number=other_number)
    after, step = moved(held(THERE), broken(REPO, number=repo_number), other)
    assert after.state(REPO).number == number
    assert step.events[0].number == number


def test_an_open_breakage_of_the_repository_keeps_its_beginning_through_a_move() -> None:
    after, _ = moved(held(THERE), broken(REPO)._replace(broken_since=100.0, revision=9, passed_after=6))
    repo = after.state(REPO)
    assert (repo.broken_since, repo.revision, repo.passed_after) == (100.0, 9, 6)


def test_both_rows_of_a_move_are_written_under_the_revisions_that_were_read() -> None:
    _, step = moved(held(THERE), broken(REPO)._replace(revision=9))
    assert {state.scope: state.revision for state in step.states} == {THERE: 2, REPO: 9}


def test_a_move_is_one_event_that_names_who_found_it_and_whose_claim_it_is() -> None:
    _, step = moved(held(THERE))
    (event,) = step.events
    assert event == Event(
        Outcome.SHARED,
        REPO,
        Status.PASSING,
        Status.FIXING,
        3,
        "me",
        other="ann",
        failures=("test_a",),
        checkout=THERE,
        check="pytest",
    )


# The scope of a command that brings no failure


@pytest.mark.parametrize(
    ("states", "agent", "asked", "silent_for", "expected"),
    [
        ((), "me", None, 50.0, HERE),
        ((held(HERE),), "me", REPO, 50.0, REPO),
        ((held(HERE, "me"), held(REPO, "me", made_in=THERE)), "me", None, 50.0, HERE),
        ((held(HERE), held(REPO, "me", made_in=THERE)), "me", None, 50.0, REPO),
        ((held(HERE), held(THERE, "me")), "me", None, 50.0, THERE),
        ((held(THERE, "me"), held(REPO, "me", made_in=HERE)), "me", None, 50.0, REPO),
        ((held(THERE, "me"),), "me", None, 900.0, THERE),
        ((broken(HERE), held(REPO, made_in=THERE)), "me", None, 50.0, REPO),
        ((held(HERE), held(REPO, "bob", made_in=THERE)), "me", None, 50.0, HERE),
        ((held(THERE, made_in=HERE),), "me", None, 50.0, THERE),
        ((held(THERE),), "me", None, 50.0, HERE),
        ((broken(THERE),), "me", None, 50.0, HERE),
        ((broken(REPO),), "me", None, 50.0, REPO),
        ((broken(HERE), broken(REPO)), "me", None, 50.0, HERE),
        ((held(REPO, made_in=THERE),), "me", None, 900.0, REPO),
        ((State(HERE), State(REPO)), "me", None, 50.0, HERE),
        ((held(THERE, "me"),), None, None, 50.0, HERE),
    ],
    ids=[
        "nothing known: this checkout",
        "the scope that was asked for",
        "one's own claim here before one's own elsewhere",
        "one's own claim on the repository before another's here",
        "one's own claim elsewhere before another's here",
        "one's own claim that binds this checkout before one's own elsewhere",
        "one's own claim though it is stale",
        "a live claim that binds before a breakage that nobody fixes",
        "a live claim here before one on the repository",
        "a live claim that was made here",
        "a claim of another checkout concerns nobody here",
        "a breakage of another checkout concerns nobody here",
        "an open breakage of the repository",
        "an open breakage here before one of the repository",
        "a stale claim is still an open breakage",
        "all is passing: this checkout",
        "nobody known holds nothing",
    ],
)
def test_the_scope_that_concerns_a_caller(
    states: tuple[State, ...], agent: str | None, asked: str | None, silent_for: float, expected: str
) -> None:
    snapshot = seen(*states, silent_for=silent_for)
    assert scope.concerning(snapshot, frozenset(), agent, HERE, asked) == expected


@pytest.mark.parametrize(
    ("states", "agent", "asked", "silent_for", "dead", "expected"),
    [
        ((), "me", None, 50.0, frozenset(), None),
        ((held(HERE),), "me", None, 50.0, frozenset(), HERE),
        ((held(REPO, made_in=THERE),), "me", None, 50.0, frozenset(), REPO),
        ((held(THERE, made_in=HERE),), "me", None, 50.0, frozenset(), THERE),
        ((held(THERE),), "me", None, 50.0, frozenset(), None),
        ((held(HERE, "me"),), "me", None, 50.0, frozenset(), None),
        ((held(HERE),), "me", None, 900.0, frozenset(), None),
        ((held(HERE),), "me", None, 50.0, frozenset({(HERE, 3)}), None),
        ((broken(HERE), broken(REPO)), "me", None, 50.0, frozenset(), None),
        ((held(HERE),), "me", REPO, 50.0, frozenset(), None),
        ((held(REPO, made_in=THERE),), "me", REPO, 50.0, frozenset(), REPO),
        ((held(HERE, "me"), held(REPO, made_in=THERE)), "me", None, 50.0, frozenset(), REPO),
        ((held(HERE),), None, None, 50.0, frozenset(), HERE),
    ],
    ids=[
        "nothing known",
        "another's claim here",
        "another's claim on the repository",
        "another's claim that was made here",
        "another checkout's claim",
        "one's own claim",
        "a silent fixer",
        "a dead fixer",
        "broken, and nobody on it",
        "another's claim outside the scope that was asked for",
        "another's claim in the scope that was asked for",
        "one's own claim here, and another's on the repository",
        "a caller that is not known is held up by everybody",
    ],
)
def test_whose_claim_holds_a_caller_up(
    states: tuple[State, ...],
    agent: str | None,
    asked: str | None,
    silent_for: float,
    dead: frozenset[tuple[str, int]],
    expected: str | None,
) -> None:
    found = scope.holding_up(seen(*states, silent_for=silent_for), dead, agent, HERE, asked)
    assert (found.state.scope if found else None) == expected
