"""Whose breakage it is: where a failure belongs, who waits, what a bare command acts on, what was fixed before."""

from typing import NamedTuple

import pytest
from testing.heart import (
    ANN,
    BROKEN,
    CODE,
    FAILED_HERE,
    HEAD,
    HERE,
    LATER,
    MAIN,
    ME,
    NOW,
    OTHER_HEAD,
    THERE,
    THIRD,
    breakage,
    fixing,
    snapshot_of,
)

from buildguard.claims import rules, scope
from buildguard.claims.model import REPO, Event, Kind, Landed, Outcome, Run, Seen, State, Status, Step
from buildguard.claims.scope import Placement

RUN = Run("pytest", 20, HERE, HEAD, MAIN, "files", ("test_a", "test_b"))
NO_IDS = RUN._replace(failures=())
GOOD = RUN._replace(good=True)
OLD = ANN._replace(seen_at=NOW - 900.0)
"""A claim that has gone stale."""


def broken(where: str, *failures: str, **changes: object) -> State:
    """A breakage that nobody fixes, in its own checkout, which began on HEAD."""
    name = THIRD if where == REPO else where
    seen = {name: FAILED_HERE}
    state = BROKEN._replace(scope=where)
    return breakage(state, failures=failures, began=failures, seen=seen, **changes)


def held(where: str, *failures: str, agent: str = "ann", made_in: str = "", stale: bool = False) -> State:
    """A breakage with a fixer; the claim was made in its own checkout unless said otherwise."""
    claim = (OLD if stale else ANN)._replace(agent=agent, checkout=made_in or where)
    return fixing(claim, broken(where, *failures))


def over(state: State) -> State:
    """Some of its fix landed long ago, and nobody has said so yet."""
    return breakage(state, landed=Landed(NOW - 600.0, THERE, ("note",)))


def joined(state: State, checkout: str, head: str = HEAD) -> State:
    """That breakage, seen in this checkout, too."""
    assert state.breakage is not None
    return breakage(state, seen={**state.breakage.seen, checkout: Seen(head, MAIN, "files")})


# Where a failure belongs


class Case(NamedTuple):
    """A failure in this checkout, and where it belongs."""

    name: str
    states: tuple[State, ...]
    where: str
    why: str = ""
    run: Run | None = RUN
    asked: str | None = None


A = "test_a fails for ann too"
SAME = "ann started from the same commit 1a2b3c4"
FOR_ALL = "ann claimed it for the whole repository"
PRIVATE = "HEAD 1a2b3c4 passed: this checkout's changes fail"
PLACES = [
    Case("nothing is known", (), HERE),
    # 1. the scope that was asked for
    Case("the scope that was asked for outranks all", (held(HERE), held(THERE, "test_a")), REPO, asked=REPO),
    # 2. a live claim of this checkout
    Case("a live claim here is shared, whatever fails", (held(HERE, "x"), held(THERE, "test_a")), HERE),
    Case("a live claim here is shared though HEAD passes", (held(HERE, "x"),), HERE, run=GOOD),
    Case("a live claim that was made here on everybody's", (held(REPO, "x", made_in=HERE),), REPO),
    Case("a live claim that was made here on another checkout's", (held(THERE, "x", made_in=HERE),), THERE),
    Case("a stale claim here hides none elsewhere that fails alike", (held(HERE, stale=True), held(THERE,
         "test_a")), THERE, A),
    Case("one's own claim here is kept though it is stale", (held(HERE, "x", agent="me", stale=True),
         held(THERE, "test_a")), HERE),
    Case("a claim here that is over hides none elsewhere", (over(held(HERE, "x")), held(THERE, "test_a")),
         THERE, A),
    Case("one's own claim elsewhere is not this checkout's", (held(THERE, "x", agent="me"),), HERE),
    # 3. a breakage elsewhere that this run has too, by a failure id
    Case("a live claim elsewhere that fails alike", (held(THERE, "test_a"),), THERE, A),
    Case("two failures in common", (held(THERE, "test_b", "test_c", "test_a"),), THERE,
         "test_a and 1 more fails for ann too"),
    Case("everybody's that fails alike", (held(REPO, "test_a", made_in=THERE),), REPO, A),
    Case("one elsewhere with a stale fixer", (held(THERE, "test_a", stale=True),), THERE, A),
    Case("one elsewhere that nobody fixes", (broken(THERE, "test_a"),), THERE, "test_a fails for others too"),
    Case("one elsewhere whose other check fails alike", (breakage(held(THERE, "test_a"), check="tox"),),
         THERE, A),
    Case("one elsewhere rather than this checkout's own that nobody fixes", (broken(HERE, "test_a"),
         held(THERE, "test_a")), THERE, A),
    Case("the one that lives of two", (broken(THERE, "test_a"), held(THIRD, "test_b")), THIRD,
         "test_b fails for ann too"),
    Case("the live one of two that are claimed", (held(THERE, "test_a", stale=True), held(THIRD, "test_a",
         agent="me")), THIRD, "test_a fails for me too"),
    Case("the first by name of two that live", (held(THERE, "test_a"), held(THIRD,
         "test_a", agent="bob")), THERE, A),
    Case("nothing in common", (held(THERE, "test_c"),), HERE),
    Case("what fails alike, but HEAD passes", (held(THERE, "test_a"),), HERE, PRIVATE, run=GOOD),
    Case("what fails alike, but is over", (over(held(THERE, "test_a")),), HERE),
    Case("nothing fails there any more", (State(THERE),), HERE),
    # or, where neither has ids, by the same check on the same HEAD
    Case("no ids, the same check on the same HEAD", (held(THERE),), THERE, SAME, run=NO_IDS),
    Case("no ids, the same HEAD as the second that has it", (joined(held(THERE), THIRD, LATER),), THERE,
         "ann started from the same commit 2b3c4d5", run=NO_IDS._replace(head=LATER)),
    Case("no ids, the same HEAD, which passes", (held(THERE),), HERE, PRIVATE, run=NO_IDS._replace(good=True)),
    Case("no ids, another HEAD", (held(THERE),), HERE, run=NO_IDS._replace(head=OTHER_HEAD)),
    Case("no ids, no commit at all", (breakage(held(THERE), seen={THERE: Seen("", MAIN, "files")}),), HERE,
         run=NO_IDS._replace(head="")),
    Case("no ids, another check", (held(THERE),), HERE, run=NO_IDS._replace(check="ruff")),
    Case("no ids, claimed by hand without a check", (breakage(held(THERE), check=""),), HERE, run=NO_IDS),
    Case("ids in this run only", (held(THERE),), HERE),
    Case("ids in the breakage only", (held(THERE, "test_a"),), HERE, run=NO_IDS),
    Case("no ids, another HEAD by now, but it failed here before", (joined(held(THERE), HERE, LATER),),
         THERE, "it failed here before, as for ann", run=NO_IDS._replace(head=OTHER_HEAD)),
    Case("no ids, it failed here before another branch", (joined(held(THERE), HERE, LATER),), HERE,
         run=NO_IDS._replace(head=OTHER_HEAD, branch="refs/heads/old")),
    Case("ids now, and it failed here without any before", (joined(held(THERE), HERE, LATER),), HERE),
    # or everybody's, without ids
    Case("what is claimed by hand for the whole repository", (breakage(held(REPO, made_in=THERE),
         check=""),), REPO, FOR_ALL),
    Case("the same for a run without ids", (breakage(held(REPO, made_in=THERE), check=""),), REPO, FOR_ALL,
         run=NO_IDS._replace(head=OTHER_HEAD)),
    Case("what failed for the whole repository without ids", (held(REPO, made_in=THERE),), REPO, FOR_ALL),
    Case("the whole repository's, but HEAD passes", (held(REPO, made_in=THERE),), HERE, PRIVATE, run=GOOD),
    Case("the whole repository's, by another check", (held(REPO, made_in=THERE),), HERE,
         run=RUN._replace(check="ruff")),
    Case("the whole repository's, with other ids", (held(REPO, "test_c", made_in=THERE),), HERE),
    Case("what is claimed by hand elsewhere is not everybody's", (breakage(held(THERE), check=""),), HERE),
    # 4. this checkout's own
    Case("this checkout's own that nobody fixes", (broken(HERE, "test_a"),), HERE),
    Case("HEAD passes", (), HERE, PRIVATE, run=GOOD),
    # a claim by hand
    Case("by hand where nothing is known", (), HERE, run=None),
    Case("by hand where somebody fixes elsewhere", (held(THERE, "test_a"),), HERE, run=None),
    Case("by hand where a claim lives here", (held(REPO, made_in=HERE),), REPO, run=None),
    Case("by hand where everybody's is open", (broken(REPO),), REPO, run=None),
    Case("by hand what another gave up that this checkout has too", (joined(broken(THERE), HERE),), THERE,
         run=None),
]  # fmt: skip


@pytest.mark.parametrize("case", PLACES, ids=lambda case: case.name)
def test_where_a_failure_belongs_and_why(case: Case) -> None:
    assert scope.place(snapshot_of(*case.states), ME, case.run, case.asked) == Placement(case.where, case.why)


def test_two_that_have_it_make_it_the_repository_s_where_it_stands() -> None:
    state = held(THERE, "test_a")
    snapshot = snapshot_of(state)
    placed = scope.place(snapshot, ME, RUN)
    (after,) = rules.failed(snapshot.view(placed.scope), ME, RUN).states
    assert (after.scope, after.shared, state.shared) == (THERE, True, False)


# What a command without a failure acts on


@pytest.mark.parametrize(
    ("states", "where"),
    [
        ((), HERE),
        ((State(HERE), broken(THERE)), HERE),
        ((broken(HERE), broken(REPO)), HERE),
        ((State(HERE), broken(REPO)), REPO),
        ((broken(HERE), held(REPO, made_in=THERE)), REPO),
        ((held(HERE, stale=True), held(REPO, made_in=THERE)), REPO),
        ((held(HERE), held(REPO, agent="me", made_in=THERE)), REPO),
        ((held(HERE), held(REPO, agent="me", made_in=THERE, stale=True)), REPO),
        ((held(HERE), held(THERE, agent="me")), THERE),
        ((held(THERE, agent="me"), held(REPO, agent="me")), REPO),
        ((joined(held(THERE), HERE),), THERE),
        ((over(broken(HERE)), broken(REPO)), REPO),
        ((over(held(THERE, agent="me")),), HERE),
        ((held(THERE), held(THIRD, stale=True)), HERE),
    ],
)
def test_a_bare_command_acts_on_what_is_nearest_to_its_caller(states: tuple[State, ...], where: str) -> None:
    assert scope.concerning(snapshot_of(*states), "me", HERE) == where


def test_a_bare_command_acts_on_the_scope_that_was_asked_for() -> None:
    assert scope.concerning(snapshot_of(held(HERE, agent="me")), "me", HERE, REPO) == REPO


def test_who_is_not_identified_holds_nothing() -> None:
    assert scope.concerning(snapshot_of(broken(HERE), held(THERE)), None, HERE) == HERE


# Who makes whom wait


@pytest.mark.parametrize(
    ("states", "holder"),
    [
        ((), None),
        ((broken(HERE),), None),
        ((held(HERE),), HERE),
        ((held(HERE, stale=True),), None),
        ((held(HERE, agent="me"),), None),
        ((held(THERE),), None),
        ((held(THERE, made_in=HERE),), HERE),
        ((joined(held(THERE), HERE),), HERE),
        ((held(REPO, made_in=THERE),), HERE),
        ((held(HERE, agent="me"), held(REPO, made_in=THERE)), HERE),
        ((over(held(HERE)),), None),
        ((breakage(held(HERE), landed=Landed(NOW, HERE, ("note",))),), None),
        ((breakage(held(HERE), landed=Landed(NOW, THERE, ("note",))),), HERE),
        ((breakage(held(HERE), landed=Landed(NOW, HERE, ("note",))), held(REPO, made_in=THERE)), HERE),
    ],
)
def test_only_a_live_claim_on_what_this_checkout_has_makes_it_wait(
    states: tuple[State, ...], holder: str | None
) -> None:
    found = scope.holding_up(snapshot_of(*states), "me", HERE)
    assert (found is not None) is (holder is not None)
    if found is not None:
        assert found.state in states
        assert found.held_live_by_another("me")


@pytest.mark.parametrize("checkout", [HERE, THERE])
def test_who_failed_after_the_fix_had_landed_waits_all_the_same(checkout: str) -> None:
    snapshot = snapshot_of(breakage(held(HERE), landed=Landed(NOW, checkout, ("note",))))
    assert scope.holding_up(snapshot, "me", HERE, failed_since=True) == snapshot.view(HERE)


@pytest.mark.parametrize(
    ("state", "landed"),
    [
        (State(HERE), False),
        (held(HERE), False),
        (breakage(held(HERE), landed=Landed(NOW, HERE, ("note",))), True),
        (breakage(held(HERE), landed=Landed(NOW, THERE, ("note",))), False),
    ],
)
def test_a_fix_has_landed_where_its_commit_is(state: State, landed: bool) -> None:
    assert scope.landed_in(state, HERE) is landed


def test_who_asked_for_a_scope_waits_for_that_one_only() -> None:
    snapshot = snapshot_of(held(HERE), held(THERE, agent="bob"), held(THIRD, stale=True))
    for asked, fixer in ((THERE, "bob"), (HERE, "ann"), (THIRD, None), (REPO, None)):
        found = scope.holding_up(snapshot, "me", HERE, asked)
        assert (found.state.claim.agent if found and found.state.claim else None) == fixer


# A fix that was made elsewhere

FIX = Event(
    Kind.FIXED,
    REPO,
    3,
    "ann",
    check="pytest",
    failures=("test_a",),
    checkout=THERE,
    heads=(HEAD,),
    commits=("c1",),
    contents=(CODE,),
    id=9,
    at=500.0,
)
WHOLE = FIX._replace(failures=())


@pytest.mark.parametrize(
    ("name", "events", "run", "ids"),
    [
        ("no fix", (), RUN, []),
        ("one that mends what fails", (FIX,), RUN, [9]),
        ("the newest first", (FIX, FIX._replace(id=12)), RUN, [12, 9]),
        ("by word", (FIX._replace(kind=Kind.RELEASED),), RUN, [9]),
        ("one of another failure", (FIX._replace(failures=("test_c",)),), RUN, []),
        ("one of another failure hides none", (FIX, FIX._replace(id=12, failures=("test_c",))), RUN, [9]),
        ("one on another HEAD", (FIX._replace(heads=()),), RUN, [9]),
        ("one without commits", (FIX._replace(commits=()),), RUN, []),
        ("one that was made here", (FIX._replace(checkout=HERE),), RUN, []),
        ("what recovered was not fixed", (FIX._replace(kind=Kind.RECOVERED),), RUN, []),
        ("what has landed in part is not yet fixed", (FIX._replace(kind=Kind.LANDED),), RUN, []),
        ("HEAD passes", (FIX,), GOOD, []),
        ("no ids, the same HEAD", (WHOLE,), NO_IDS, [9]),
        ("no ids, one of the HEADs", (WHOLE._replace(heads=(LATER, HEAD)),), NO_IDS, [9]),
        ("no ids, another HEAD", (WHOLE._replace(heads=(LATER,)),), NO_IDS, []),
        ("no ids, another check", (WHOLE._replace(check="ruff"),), NO_IDS, []),
        ("no ids, claimed by hand", (WHOLE._replace(check=""),), NO_IDS, [9]),
        ("ids in this run only", (WHOLE,), RUN, []),
        ("ids in the fix only", (FIX,), NO_IDS, []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fix_made_elsewhere_is_told_where_it_can_help(
    name: str, events: tuple[Event, ...], run: Run, ids: list[int]
) -> None:
    assert [event.id for event in scope.fixed_elsewhere(events, run)] == ids


# What was fixed before

OPENED = Event(Kind.CLAIMED, HERE, 5, "me", before=Status.PASSING, after=Status.FIXING)
FIXED_HERE = FIX._replace(checkout=HERE)


@pytest.mark.parametrize(
    ("name", "history", "run", "again"),
    [
        ("fixed here", (FIXED_HERE,), RUN, True),
        ("released here", (FIXED_HERE._replace(kind=Kind.RELEASED),), RUN, True),
        ("recovered here", (FIXED_HERE._replace(kind=Kind.RECOVERED),), RUN, True),
        ("given up here", (FIXED_HERE._replace(kind=Kind.GAVE_UP),), RUN, False),
        ("fixed elsewhere, and the fix has come here", (FIX,), RUN._replace(fixed=9), True),
        ("fixed elsewhere, and another fix has come here", (FIX,), RUN._replace(fixed=8), False),
        ("fixed elsewhere", (FIX,), RUN, False),
        ("something else was fixed here", (FIXED_HERE._replace(failures=("test_c",)),), RUN, False),
        ("claimed by hand", (FIXED_HERE,), None, False),
        ("never fixed", (), RUN, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_opens_again_says_who_had_fixed_it_and_when(
    name: str, history: tuple[Event, ...], run: Run | None, again: bool
) -> None:
    step = Step(Outcome.CLAIMED, HERE, events=(OPENED,))
    after = OPENED._replace(other="ann", fixed_at=500.0) if again else OPENED
    assert scope.opened_again(step, history, run) == step._replace(events=(after,))


def test_the_newest_fix_is_the_one_that_did_not_hold() -> None:
    step = Step(Outcome.CLAIMED, HERE, events=(OPENED,))
    history = (FIXED_HERE, FIXED_HERE._replace(agent="bob", at=600.0), FIXED_HERE._replace(failures=("x",)))
    (event,) = scope.opened_again(step, history, RUN).events
    assert (event.other, event.fixed_at) == ("bob", 600.0)


@pytest.mark.parametrize(
    "event",
    [
        OPENED._replace(before=Status.BROKEN),
        OPENED._replace(kind=Kind.TAKEN_OVER, before=Status.FIXING, other="bob"),
        OPENED._replace(before=Status.PASSING, after=Status.PASSING),
    ],
)
def test_only_what_opens_a_breakage_opens_it_again(event: Event) -> None:
    step = Step(Outcome.CLAIMED, HERE, events=(event,))
    assert scope.opened_again(step, (FIXED_HERE,), RUN) == step


def test_an_end_in_the_same_step_stays_as_it_is() -> None:
    ended = OPENED._replace(kind=Kind.FIXED, before=Status.FIXING, after=Status.PASSING)
    step = Step(Outcome.CLAIMED, HERE, events=(ended, OPENED))
    again = scope.opened_again(step, (FIXED_HERE,), RUN)
    assert again.events == (ended, OPENED._replace(other="ann", fixed_at=500.0))


# Somebody's work in progress


@pytest.mark.parametrize(
    ("name", "staged", "loose", "failures", "since_pass", "suspects"),
    [
        ("the loose path changed since the pass, the commit's did not", "README", "code", "", "code", "code"),
        ("both changed", "code", "other", "", "code other", ""),
        ("nothing that is loose changed", "code", "other", "", "third", ""),
        ("it is not known what changed", "code", "other", "", "", ""),
        ("a third path changed, too", "code", "other", "", "other third", "other"),
        ("a failure lies in a loose file", "code", "test.py", "test.py::test_a", "", "test.py"),
        ("a failure lies in the commit's file", "test.py", "code", "test.py::test_a", "", ""),
        ("a failure lies in either", "a.py", "b.py", "a.py::x b.py::y", "", ""),
        ("a failure lies in neither", "a.py", "b.py", "c.py::x", "", ""),
        ("a failure in a file whose name begins alike", "x.py", "code", "code.py::x", "", ""),
        ("a failure that is the loose file", "x.py", "code", "code", "", "code"),
        ("a failure with a line", "x.py", "code", "code:3", "", "code"),
        ("a failure in brackets", "x.py", "code", "code(3)", "", "code"),
        ("a failure that only names the loose file later", "x.py", "code", "in/code", "", ""),
        ("a failure in the commit's file outweighs prose", "README", "code", "README:3", "", ""),
        ("the commit is prose", "README.md docs/x.rst CHANGES", "code", "", "", "code"),
        ("some of the commit is prose", "README.md x.py", "code", "", "", ""),
        ("the commit is prose, and it is known that it changed", "README.md", "code", "", "README.md", "code"),
        ("the commit holds nothing", "", "code", "", "", "code"),
        ("nothing is loose", "README", "", "", "", ""),
        ("a path of the commit is loose, too", "README code", "code other", "", "other", "other"),
        ("all that is loose is in the commit, too", "README", "README", "", "README", ""),
    ],
)
def test_a_commit_is_not_blamed_for_what_is_being_edited_here(
    name: str, staged: str, loose: str, failures: str, since_pass: str, suspects: str
) -> None:
    found = scope.in_progress(staged.split(), loose.split(), failures.split(), since_pass.split())
    assert " ".join(found) == suspects


def test_a_failure_that_goes_on_after_a_blank_lies_in_the_loose_file() -> None:
    assert scope.in_progress(["x.py"], ["code"], ["code line 3"], []) == ("code",)


@pytest.mark.parametrize(
    "path",
    [
        *("a.md", "a.rst", "a.adoc", "docs/A.MD", "README", "Readme.old", "changelog", "CHANGES"),
        *("LICENSE", "licence", "COPYING", "AUTHORS", "NOTICE", "docs/CONTRIBUTING.html"),
    ],
)
def test_prose_can_fail_no_check(path: str) -> None:
    assert scope.in_progress([path], ["code"], [], []) == ("code",)


@pytest.mark.parametrize("path", ["a.py", "readme/code", "notices", "md", "txt.c", "my-readme"])
def test_everything_else_can(path: str) -> None:
    assert scope.in_progress([path], ["code"], [], []) == ()
