"""The values of the heart: what is derived of a state, and when a claim is stale."""

from typing import NamedTuple

import pytest
from testing.heart import ANN, BROKEN, FAILED_HERE, HERE, MINE, NOW, PASSING, THERE, THIRD, breakage, fixing

from buildguard.claims.model import (
    LANDING,
    REPO,
    Breakage,
    Caller,
    Claim,
    Event,
    Kind,
    Landed,
    Landing,
    Outcome,
    Proof,
    Run,
    Snapshot,
    Stale,
    State,
    Status,
    Step,
    stale_in,
    staleness,
)

BOTH = {HERE: FAILED_HERE, THERE: FAILED_HERE}
EVENT = Event(Kind.WAITED, HERE, 5, "me")


def known(state: State, **more: object) -> Snapshot:
    return Snapshot({state.scope: state}, now=NOW)._replace(**more)  # type: ignore[arg-type]


# A state


@pytest.mark.parametrize(
    ("state", "status"), [(PASSING, Status.PASSING), (BROKEN, Status.BROKEN), (fixing(), Status.FIXING)]
)
def test_the_status_is_what_the_state_holds(state: State, status: Status) -> None:
    assert state.status is status


@pytest.mark.parametrize(("state", "claim"), [(PASSING, None), (BROKEN, None), (fixing(), ANN)])
def test_only_a_breakage_has_a_claim(state: State, claim: object) -> None:
    assert state.claim == claim


@pytest.mark.parametrize(
    ("state", "shared"),
    [
        (PASSING, False),
        (BROKEN, False),
        (breakage(BROKEN, seen=BOTH), True),
        (State(REPO), True),
        (BROKEN._replace(scope=REPO), True),
    ],
)
def test_a_breakage_is_the_repository_s_by_its_scope_or_by_two_that_have_it(state: State, shared: bool) -> None:
    assert state.shared is shared


@pytest.mark.parametrize(
    ("state", "checkout", "has"),
    [
        (PASSING, HERE, False),
        (PASSING._replace(scope=REPO), HERE, False),
        (BROKEN, HERE, True),
        (BROKEN, THERE, False),
        (BROKEN._replace(scope=REPO), THERE, True),
        (breakage(BROKEN, seen={}), HERE, True),
        (breakage(BROKEN, seen=BOTH), THERE, True),
        (fixing(ANN._replace(checkout=THERE)), THERE, True),
        (fixing(ANN._replace(checkout=THERE)), THIRD, False),
    ],
)
def test_a_checkout_has_a_breakage_of_its_scope_of_everybody_s_or_that_was_seen_there(
    state: State, checkout: str, has: bool
) -> None:
    assert state.had_in(checkout) is has


def test_a_missing_row_is_passing() -> None:
    assert Snapshot().state(HERE) == State(HERE, number=0, revision=0, last_check=None, changed=-1, breakage=None)


# A claim that is stale


@pytest.mark.parametrize(
    ("silent_for", "held_for", "stale"),
    [
        (0.0, 0.0, None),
        (899.9, 3599.9, None),
        (900.0, 1000.0, Stale.SILENT),
        (0.0, 3600.0, Stale.HELD_TOO_LONG),
        (900.0, 3600.0, Stale.SILENT),
    ],
)
def test_a_claim_goes_stale_by_silence_or_when_it_is_held_too_long(
    silent_for: float, held_for: float, stale: Stale | None
) -> None:
    claim = ANN._replace(seen_at=NOW - silent_for, claimed_at=NOW - held_for)
    assert staleness(claim, NOW) is stale
    assert known(fixing(claim)).view(HERE).stale is stale


@pytest.mark.parametrize("claim", [ANN._replace(stale_after=100.0), ANN._replace(max_claim=300.0)])
def test_a_claim_goes_stale_by_its_own_terms(claim: Claim) -> None:
    assert staleness(claim, NOW) is not None


@pytest.mark.parametrize(
    ("silent_for", "held_for", "left"), [(100.0, 300.0, 800.0), (10.0, 3500.0, 100.0), (901.0, 0.0, 0.0)]
)
def test_the_time_left_is_the_shorter_of_silence_and_ceiling(
    silent_for: float, held_for: float, left: float
) -> None:
    assert stale_in(ANN._replace(seen_at=NOW - silent_for, claimed_at=NOW - held_for), NOW) == left


def test_a_claim_whose_process_has_ended_is_stale_at_once() -> None:
    assert known(fixing(), dead=frozenset({5})).view(HERE).stale is Stale.DEAD
    assert known(fixing(), dead=frozenset({4, 6})).view(HERE).stale is None


def test_a_claim_whose_checkout_is_gone_is_stale_at_once() -> None:
    assert known(fixing(), gone=frozenset({HERE})).view(HERE).stale is Stale.GONE
    assert known(fixing(), gone=frozenset({THERE})).view(HERE).stale is None


def test_without_a_claim_nothing_is_stale() -> None:
    everything_is_lost = known(BROKEN, dead=frozenset({5}), gone=frozenset({HERE}), now=1e9)
    assert everything_is_lost.view(HERE).stale is None


def test_an_old_breakage_does_not_make_a_fresh_claim_stale() -> None:
    assert known(breakage(fixing(), since=0.0)).view(HERE).stale is None


# A view


def test_the_next_number_is_above_every_number_that_was_ever_given() -> None:
    states = {HERE: PASSING, THERE: State(THERE, number=8)}
    assert Snapshot().view(HERE).next_number == 1
    assert Snapshot(states).view(HERE).next_number == 9
    assert Snapshot(states, highest=20).view(HERE).next_number == 21


def test_a_view_has_what_was_known_at_that_moment() -> None:
    snapshot = known(PASSING, last_event=17, gone=frozenset({THIRD}))
    view = snapshot.view(HERE)
    assert (view.state, view.now, view.last_event, view.gone) == (PASSING, NOW, 17, frozenset({THIRD}))


def test_the_views_are_in_one_order() -> None:
    snapshot = Snapshot({name: State(name) for name in (REPO, THIRD, HERE)})
    assert [view.state.scope for view in snapshot.views()] == [HERE, THIRD, REPO]


@pytest.mark.parametrize("silent_for", [100.0, 900.0])
def test_the_fixer_holds_its_claim_stale_or_not(silent_for: float) -> None:
    view = known(fixing(MINE._replace(seen_at=NOW - silent_for))).view(HERE)
    assert view.held_by("me")
    assert not view.held_by("ann")
    assert not view.held_by(None)
    assert not view.held_live_by_another("me")


@pytest.mark.parametrize(("silent_for", "binds"), [(100.0, True), (900.0, False)])
def test_only_a_live_claim_of_somebody_else_binds(silent_for: float, binds: bool) -> None:
    view = known(fixing(ANN._replace(seen_at=NOW - silent_for))).view(HERE)
    assert view.held_live_by_another("me") is binds
    assert view.held_live_by_another(None) is binds
    assert not known(BROKEN).view(HERE).held_live_by_another("me")


@pytest.mark.parametrize(("ago", "over"), [(0.0, False), (LANDING - 0.1, False), (LANDING, True)])
def test_a_breakage_is_over_two_minutes_after_some_of_its_fix_has_landed(ago: float, over: bool) -> None:
    assert known(breakage(fixing(), landed=Landed(NOW - ago, HERE, ("note",)))).view(HERE).over is over


def test_a_breakage_of_which_nothing_has_landed_is_not_over() -> None:
    assert not known(fixing()).view(HERE).over
    assert not known(PASSING).view(HERE).over


def test_two_minutes_is_two_minutes() -> None:
    assert LANDING == 120.0


# A run, a step


@pytest.mark.parametrize(
    ("head", "branch", "follows", "still"),
    [
        ("head", "", (), True),
        ("head", "refs/heads/other", (), True),
        ("later", "refs/heads/other", ("head", "another"), True),
        ("rebased", "refs/heads/main", (), True),
        ("old", "refs/heads/old", ("another",), False),
        ("old", "", (), False),
    ],
)
def test_a_checkout_is_where_it_failed_by_its_head_by_descent_or_by_its_branch(
    head: str, branch: str, follows: tuple[str, ...], still: bool
) -> None:
    run = Run("pytest", 1, HERE, head, branch, follows=frozenset(follows))
    assert run.still_at(FAILED_HERE._replace(head="head", branch="refs/heads/main")) is still


def test_two_detached_heads_are_not_the_same_branch() -> None:
    assert not Run("pytest", 1, HERE, "one", "").still_at(FAILED_HERE._replace(head="two", branch=""))


@pytest.mark.parametrize(
    ("step", "writes"),
    [
        (Step(Outcome.BUSY, HERE), False),
        (Step(Outcome.BUSY, HERE, (PASSING,)), True),
        (Step(Outcome.NOTED, HERE, events=(EVENT,)), True),
        (Step(Outcome.NOTED, HERE, proofs=(Proof("pytest", True, "files", HERE),)), True),
    ],
)
def test_a_step_writes_rows_events_or_proofs(step: Step, writes: bool) -> None:
    assert step.writes is writes


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(Outcome.PENDING, "not_committed"), (Outcome.REPORTED, "broken"), (Kind.REPORTED, "broken"), (REPO, "repo")],
)
def test_the_words_that_others_read_stay(outcome: str, word: str) -> None:
    assert outcome == word


@pytest.mark.parametrize(
    ("value", "defaults"),
    [
        (Claim, {"process": None, "attempts": 1}),
        (Landed, {"head": "", "branch": "", "commits": (), "contents": ()}),
        (
            Breakage,
            {"began": (), "failures": (), "reason": "", "seen": {}, "landed": None, "claim": None},
        ),
        (State, {"number": 0, "revision": 0, "last_check": None, "changed": -1, "breakage": None, "near": False}),
        (
            Event,
            {
                **dict.fromkeys(("reason", "check", "checkout", "head", "branch"), ""),
                **dict.fromkeys(("failures", "heads", "seen", "commits", "contents"), ()),
                **dict.fromkeys(("other", "lasted", "fixed_at")),
                **dict.fromkeys(("before", "after"), Status.PASSING),
                **dict.fromkeys(("attempts", "about", "id", "at"), 0),
            },
        ),
        (
            Proof,
            {
                **dict.fromkeys(("agent", "head", "branch", "tree", "failed"), ""),
                **dict.fromkeys(("failures", "changed", "written", "staged"), ()),
                "seen": -1,
                "runs": 1,
                "avoided": 0,
                "times": {},
                "at": 0.0,
            },
        ),
    ],
)
def test_what_a_store_leaves_out_is_read_as_it_was_meant(
    value: type[NamedTuple], defaults: dict[str, object]
) -> None:
    """A store writes no field that has its default: another default would change what has been written."""
    assert value._field_defaults == defaults


def test_what_a_caller_does_not_know_is_empty() -> None:
    assert Snapshot() == Snapshot({}, (), 0, 0.0, 0, frozenset(), frozenset())
    assert Caller("me", HERE) == Caller("me", HERE, None, 900.0, 3600.0, "", "")
    assert Run("pytest", 1, HERE) == Run("pytest", 1, HERE, "", "", "", (), False, False, frozenset(), (), 0, None)
    assert Landing("failed") == Landing("failed", (), (), (), None)
    assert Step(Outcome.BUSY, HERE) == Step(Outcome.BUSY, HERE, (), (), (), "")
