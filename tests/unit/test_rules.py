"""The state machine: every cell of the table in docs/design.md, section 3, and what a run counts for."""

import pytest

from buildguard.claims import rules
from buildguard.claims.model import (
    Caller,
    Claim,
    Outcome,
    Run,
    Silence,
    Snapshot,
    Stale,
    State,
    Status,
    Step,
    View,
    stale_in,
)

HERE, THERE = "checkout:here", "checkout:there"
NOW = 10_000.0
ME = Caller("me", HERE, stale_after=900.0, max_claim=3600.0)
ANN = Claim("ann", HERE, claimed_at=9_700.0, seen_at=9_900.0, stale_after=900.0, max_claim=3600.0, attempts=2)
MINE = ANN._replace(agent="me")
BEGAN_BROKEN = 4_000.0
"""Long before the claim: what a staleness judged by `broken_since` would trip over."""
LAST_EVENT = 20

PASSING = State(HERE, number=5, passed_after=12, revision=3)
BROKEN = PASSING._replace(
    status=Status.BROKEN,
    check="pytest",
    broken_since=BEGAN_BROKEN,
    opened_after=14,
    failures=("test_a",),
    began=("test_a",),
    reason="too hard",
)
FIXING = BROKEN._replace(status=Status.FIXING, claim=ANN)
STATES = {
    "passing": PASSING,
    "broken": BROKEN,
    "mine": FIXING._replace(claim=MINE),
    "live": FIXING,
    "stale": FIXING,
}
OTHER_SCOPE = State(THERE, Status.BROKEN, number=7, check="pytest", opened_after=3)
"""Holds the build's highest number, so the next one is 8, in whichever scope."""
RUN = Run("pytest", LAST_EVENT, HERE, ("test_b",), "head", "head tree", "tree", "refs/heads/main")
MOVED = RUN._replace(checkout=THERE, seen=99)


def view_of(state: State, silent_for: float = 100.0, held_for: float = 300.0, dead: bool = False) -> View:
    silences = {state.scope: Silence(silent_for, held_for)} if state.claim else {}
    snapshot = Snapshot({state.scope: state, THERE: OTHER_SCOPE}, silences, last_event=LAST_EVENT, now=NOW)
    return snapshot.view(state.scope, frozenset({(state.scope, state.number)} if dead else ()))


def column(name: str) -> View:
    """A column of the table; a claim is stale by its silence."""
    return view_of(STATES[name], silent_for=900.0 if name == "stale" else 100.0)


def only(step: Step) -> State:
    """The one row that a step writes."""
    (state,) = step.states
    return state


def told(view: View, step: Step) -> str:
    """What a step does, in words: outcome, the state afterwards, and the events."""
    after = only(step) if step.states else view.state
    by = f" by {after.claim.agent}" if after.claim else ""
    events = "".join(f", event {event.kind}: {event.before} to {event.after}" for event in step.events)
    return f"{step.outcome}: {after.status} {after.number}{by}{events}{'' if step.states else ', nothing written'}"


EVENTS = {
    "failed": lambda view: rules.failed(view, ME, RUN),
    "failed in CI": lambda view: rules.failed(view, ME, RUN, claiming=False),
    "passed here": lambda view: rules.passed(view, ME, RUN),
    "passed elsewhere": lambda view: rules.passed(view, ME._replace(checkout=THERE), RUN._replace(checkout=THERE)),
    "release": lambda view: rules.release(view, ME, None, gave_up=False, reason=""),
    "release --gave-up": lambda view: rules.release(view, ME, None, gave_up=True, reason="cannot"),
    "reset": lambda view: rules.reset(view, "me"),
}
KEPT = {
    "passing": "passing 5, nothing written",
    "broken": "broken 5, nothing written",
    "live": "fixing 5 by ann, nothing written",
    "stale": "fixing 5 by ann, nothing written",
}
TABLE = {
    "failed": {
        "passing": "claimed: fixing 8 by me, event claimed: passing to fixing",
        "broken": "claimed: fixing 8 by me, event claimed: broken to fixing",
        "mine": "renewed: fixing 5 by me",
        "live": f"busy: {KEPT['live']}",
        "stale": "taken_over: fixing 8 by me, event taken_over: fixing to fixing",
    },
    "failed in CI": {
        "passing": "broken: broken 5, event broken: passing to broken",
        "broken": f"broken: {KEPT['broken']}",
        "mine": "renewed: fixing 5 by me",
        "live": f"busy: {KEPT['live']}",
        "stale": f"busy: {KEPT['stale']}",
    },
    "passed here": {
        "passing": "passed: passing 5",
        "broken": "fixed: passing 5, event fixed: broken to passing",
        "mine": "fixed: passing 5, event fixed: fixing to passing",
        "live": "fixed: passing 5, event fixed: fixing to passing",
        "stale": "fixed: passing 5, event fixed: fixing to passing",
    },
    "passed elsewhere": {
        "passing": "passed: passing 5",
        "broken": "fixed: passing 5, event fixed: broken to passing",
        "mine": "passed: fixing 5 by me",
        "live": "passed: fixing 5 by ann",
        "stale": "passed: fixing 5 by ann",
    },
    "release": {
        "passing": f"nothing_held: {KEPT['passing']}",
        "broken": f"nothing_held: {KEPT['broken']}",
        "mine": "released: passing 5, event released: fixing to passing",
        "live": f"not_yours: {KEPT['live']}",
        "stale": f"not_yours: {KEPT['stale']}",
    },
    "release --gave-up": {
        "passing": f"nothing_held: {KEPT['passing']}",
        "broken": f"nothing_held: {KEPT['broken']}",
        "mine": "gave_up: broken 5, event gave_up: fixing to broken",
        "live": f"not_yours: {KEPT['live']}",
        "stale": f"not_yours: {KEPT['stale']}",
    },
    "reset": {
        "passing": f"reset: {KEPT['passing']}",
        "broken": "reset: passing 5, event reset: broken to passing",
        "mine": "reset: passing 8, event reset: fixing to passing",
        "live": "reset: passing 8, event reset: fixing to passing",
        "stale": "reset: passing 8, event reset: fixing to passing",
    },
}


@pytest.mark.parametrize(("event", "state"), [(event, state) for event in TABLE for state in TABLE[event]])
def test_every_cell_of_the_table(event: str, state: str) -> None:
    view = column(state)
    assert told(view, EVENTS[event](view)) == TABLE[event][state]


@pytest.mark.parametrize("event", TABLE)
@pytest.mark.parametrize("state", STATES)
def test_whatever_happens_only_a_fixing_scope_has_a_fixer(event: str, state: str) -> None:
    for after in EVENTS[event](column(state)).states:
        assert (after.status is Status.FIXING) == (after.claim is not None)


@pytest.mark.parametrize("event", TABLE)
@pytest.mark.parametrize("state", STATES)
def test_no_step_touches_the_revision_that_its_write_depends_on(event: str, state: str) -> None:
    assert {after.revision for after in EVENTS[event](column(state)).states} <= {3}


# What a claim is made of


def test_a_claim_bears_the_terms_of_its_maker() -> None:
    caller = Caller("me", HERE, "a process", stale_after=60.0, max_claim=120.0)
    claim = only(rules.failed(column("passing"), caller, RUN)).claim
    assert claim == Claim("me", HERE, NOW, NOW, 60.0, 120.0, "a process", attempts=1)


def test_a_claim_on_a_passing_build_opens_the_breakage() -> None:
    after = only(rules.failed(column("passing"), ME, RUN))
    assert (after.broken_since, after.check, after.failures, after.head) == (NOW, "pytest", ("test_b",), "head")
    assert (after.opened_after, after.last_check, after.reason) == (LAST_EVENT, NOW, "")


@pytest.mark.parametrize("state", ["broken", "stale"])
def test_a_claim_on_an_open_breakage_keeps_its_beginning(state: str) -> None:
    after = only(rules.failed(column(state), ME, RUN))
    assert (after.broken_since, after.opened_after, after.check) == (BEGAN_BROKEN, 14, "pytest")
    assert after.failures == ("test_a", "test_b")


def test_a_claim_after_giving_up_still_shows_the_reason() -> None:
    assert only(rules.failed(column("broken"), ME, RUN)).reason == "too hard"


def test_a_failure_without_ids_keeps_those_that_are_known() -> None:
    assert only(rules.failed(column("broken"), ME, RUN._replace(failures=()))).failures == ("test_a",)


def test_a_claim_by_hand_knows_of_no_check_and_no_run() -> None:
    after = only(rules.failed(column("passing"), ME, None))
    assert (after.status, after.check, after.failures, after.last_check) == (Status.FIXING, "", (), None)
    assert after.broken_since == NOW


def test_a_takeover_names_the_old_fixer_and_why_it_lost_the_role() -> None:
    (event,) = rules.failed(column("stale"), ME, RUN).events
    assert (event.agent, event.other, event.reason, event.number) == ("me", "ann", "silent", 8)


def test_a_breakage_that_ci_reports_begins_now_and_has_no_fixer() -> None:
    after = only(rules.failed(column("passing"), ME, RUN, claiming=False))
    assert (after.broken_since, after.opened_after, after.check) == (NOW, LAST_EVENT, "pytest")


# Renewal


def test_a_fixer_whose_check_fails_again_keeps_the_claim_and_the_attempt_is_counted() -> None:
    after = only(rules.failed(column("mine"), ME, RUN))
    assert after.claim == MINE._replace(seen_at=NOW, attempts=3)
    assert (after.last_check, after.failures, after.broken_since) == (NOW, ("test_a", "test_b"), BEGAN_BROKEN)


def test_another_check_of_the_fixer_adds_nothing_to_the_breakage() -> None:
    assert only(rules.failed(column("mine"), ME, RUN._replace(check="ruff"))).failures == ("test_a",)


def test_no_more_failures_are_kept_than_fit() -> None:
    many = tuple(f"test_{number}" for number in range(rules.MOST_FAILURES + 1))
    after = only(rules.failed(column("mine"), ME, RUN._replace(failures=many)))
    assert after.failures == ("test_a", *many)[: rules.MOST_FAILURES]


def test_a_renewal_by_hand_is_a_sign_of_life_and_no_attempt() -> None:
    after = only(rules.failed(column("mine"), ME, None))
    assert after.claim == MINE._replace(seen_at=NOW)
    assert after.last_check is None


def test_a_renewal_does_not_move_the_ceiling() -> None:
    view = view_of(STATES["mine"], held_for=3600.0)
    claim = only(rules.failed(view, ME, RUN)).claim
    assert claim is not None
    assert claim.claimed_at == MINE.claimed_at


def test_a_renewal_cannot_change_the_terms_of_the_claim() -> None:
    claim = only(rules.failed(column("mine"), ME._replace(stale_after=9e5, max_claim=9e5), RUN)).claim
    assert claim is not None
    assert (claim.stale_after, claim.max_claim) == (900.0, 3600.0)


def test_a_renewal_writes_the_row_and_no_event() -> None:
    assert rules.failed(column("mine"), ME, RUN).events == ()


def test_a_sign_of_life_renews_only_the_caller_s_own_claim() -> None:
    after = rules.alive(column("mine"), "me")
    assert after is not None
    assert after.claim == MINE._replace(seen_at=NOW)
    assert rules.alive(column("live"), "me") is None
    assert rules.alive(column("broken"), "me") is None


# Staleness


@pytest.mark.parametrize(
    ("silent_for", "held_for", "dead", "stale"),
    [
        (0.0, 0.0, False, None),
        (899.9, 3599.9, False, None),
        (900.0, 1000.0, False, Stale.SILENT),
        (0.0, 3600.0, False, Stale.HELD_TOO_LONG),
        (900.0, 3600.0, False, Stale.SILENT),
        (0.0, 0.0, True, Stale.DEAD),
        (900.0, 3600.0, True, Stale.DEAD),
    ],
)
def test_a_claim_goes_stale_by_silence_by_the_ceiling_or_by_death(
    silent_for: float, held_for: float, dead: bool, stale: Stale | None
) -> None:
    assert view_of(FIXING, silent_for, held_for, dead).stale is stale


def test_only_the_claim_that_is_known_dead_is_dead() -> None:
    snapshot = Snapshot({HERE: FIXING}, {HERE: Silence(0.0, 0.0)})
    assert snapshot.view(HERE, frozenset({(HERE, FIXING.number - 1)})).stale is None
    assert snapshot.view(HERE, frozenset({(THERE, FIXING.number)})).stale is None


@pytest.mark.parametrize(("silent_for", "held_for", "left"), [(100, 300, 800), (10, 3500, 100), (901, 0, 0)])
def test_the_time_left_is_the_shorter_of_silence_and_ceiling(
    silent_for: float, held_for: float, left: float
) -> None:
    assert stale_in(ANN, Silence(silent_for, held_for)) == left


def test_an_old_breakage_does_not_make_a_fresh_claim_stale() -> None:
    ancient = FIXING._replace(broken_since=0.0)
    assert rules.failed(view_of(ancient), ME, RUN).outcome is Outcome.BUSY


def test_another_agent_s_shorter_terms_cannot_evict_a_claim() -> None:
    hasty = ME._replace(stale_after=1.0, max_claim=1.0)
    assert rules.failed(view_of(FIXING, silent_for=899.0), hasty, RUN).outcome is Outcome.BUSY


def test_a_claim_with_shorter_terms_of_its_own_goes_stale_by_them() -> None:
    short = FIXING._replace(claim=ANN._replace(stale_after=30.0))
    assert rules.failed(view_of(short, silent_for=30.0), ME, RUN).outcome is Outcome.TAKEN_OVER


@pytest.mark.parametrize(
    ("silent_for", "held_for", "dead"), [(900.0, 1000.0, False), (0.0, 3600.0, False), (0, 0, True)]
)
def test_for_the_holder_mine_outranks_stale(silent_for: float, held_for: float, dead: bool) -> None:
    view = view_of(STATES["mine"], silent_for, held_for, dead)
    assert rules.failed(view, ME, RUN).outcome is Outcome.RENEWED
    assert rules.release(view, ME, None, gave_up=True, reason="").outcome is Outcome.GAVE_UP
    assert rules.passed(view, ME, RUN).outcome is Outcome.FIXED


# Release and reset


def test_giving_up_keeps_the_reason_and_the_breakage() -> None:
    after = only(rules.release(column("mine"), ME, None, gave_up=True, reason="no idea"))
    assert (after.reason, after.broken_since, after.failures) == ("no idea", BEGAN_BROKEN, ("test_a",))
    assert (after.check, after.opened_after) == ("pytest", 14)


def test_what_was_given_up_can_be_claimed_at_once_even_by_the_same_agent() -> None:
    given_up = only(rules.release(column("mine"), ME, None, gave_up=True, reason=""))
    assert rules.failed(view_of(given_up), ME, RUN).outcome is Outcome.CLAIMED


def test_a_release_clears_the_breakage() -> None:
    after = only(rules.release(column("mine"), ME, None, gave_up=False, reason=""))
    assert (after.broken_since, after.failures, after.check, after.reason) == (None, (), "", "")
    assert after.passed_after == LAST_EVENT


@pytest.mark.parametrize(("number", "outcome"), [(5, Outcome.RELEASED), (4, Outcome.NOT_YOURS)])
def test_a_release_with_a_number_acts_only_on_that_claim(number: int, outcome: Outcome) -> None:
    assert rules.release(column("mine"), ME, number, gave_up=False, reason="").outcome is outcome


def test_a_release_with_an_old_number_is_no_error_where_nothing_is_held() -> None:
    assert rules.release(column("broken"), ME, 4, gave_up=False, reason="").outcome is Outcome.NOTHING_HELD


def test_a_reset_names_the_agent_that_did_it_and_the_fixer_that_it_cost() -> None:
    (event,) = rules.reset(column("live"), "me").events
    assert (event.agent, event.other, event.number) == ("me", "ann", 8)


# Numbers


def test_the_next_number_is_above_every_scope_s_of_the_build() -> None:
    assert column("passing").next_number == 8


def test_the_first_claim_of_a_build_has_number_one() -> None:
    view = Snapshot().view(HERE)
    assert only(rules.failed(view, ME, RUN)).number == 1


def test_numbers_go_on_growing_across_a_reset() -> None:
    after = only(rules.reset(column("live"), "me"))
    assert only(rules.failed(view_of(after), ME, RUN._replace(seen=99))).number > after.number > 5


# A run counts only for what it saw


@pytest.mark.parametrize("seen", [-1, 13, 14])
@pytest.mark.parametrize("state", ["broken", "mine", "live"])
def test_a_pass_that_began_before_the_breakage_resolves_nothing(state: str, seen: int) -> None:
    step = rules.passed(column(state), ME, RUN._replace(seen=seen))
    assert step.outcome is Outcome.PASSED
    assert only(step).status is STATES[state].status


@pytest.mark.parametrize("state", ["broken", "mine", "live"])
def test_a_pass_that_began_just_after_the_breakage_resolves_it(state: str) -> None:
    assert rules.passed(column(state), ME, RUN._replace(seen=15)).outcome is Outcome.FIXED


@pytest.mark.parametrize("state", ["broken", "mine", "live"])
def test_a_pass_of_another_check_resolves_nothing(state: str) -> None:
    step = rules.passed(column(state), ME, RUN._replace(check="ruff check"))
    assert step.outcome is Outcome.PASSED
    assert only(step).status is STATES[state].status


def test_a_claim_by_hand_is_resolved_by_whatever_check_passes() -> None:
    by_hand = STATES["mine"]._replace(check="")
    assert rules.passed(view_of(by_hand), ME, RUN._replace(check="ruff check")).outcome is Outcome.FIXED


@pytest.mark.parametrize("seen", [-1, 11, 12])
@pytest.mark.parametrize("claiming", [True, False])
def test_a_failure_that_began_before_a_later_passing_is_outdated(seen: int, claiming: bool) -> None:
    step = rules.failed(column("passing"), ME, RUN._replace(seen=seen), claiming)
    assert (step.outcome, step.states, step.events) == (Outcome.OUTDATED, (), ())


def test_a_failure_that_began_just_after_the_last_passing_counts() -> None:
    assert rules.failed(column("passing"), ME, RUN._replace(seen=13)).outcome is Outcome.CLAIMED


def test_a_claim_by_hand_is_never_outdated() -> None:
    assert rules.failed(column("passing"), ME, None).outcome is Outcome.CLAIMED


@pytest.mark.parametrize("event", ["passed here", "release", "reset"])
def test_every_way_to_passing_outdates_the_failures_that_began_before_it(event: str) -> None:
    after = only(EVENTS[event](column("mine")))
    assert rules.failed(view_of(after), ME, RUN).outcome is Outcome.OUTDATED


def test_a_pass_that_resolves_nothing_is_still_noted_as_the_last_check() -> None:
    assert only(rules.passed(column("passing"), None, RUN)).last_check == NOW


def test_a_pass_that_resolves_nothing_is_a_sign_of_life_of_the_holder_alone() -> None:
    other_check = RUN._replace(check="ruff check")
    assert only(rules.passed(column("mine"), ME, other_check)).claim == MINE._replace(seen_at=NOW)
    assert only(rules.passed(column("live"), ME, other_check)).claim == ANN


def test_a_breakage_that_nobody_claims_is_resolved_by_a_caller_that_is_not_identified() -> None:
    step = rules.passed(column("broken"), None, RUN)
    assert step.outcome is Outcome.FIXED
    assert step.events[0].agent == ""


def test_the_event_of_a_fix_says_where_and_of_what_it_was_made() -> None:
    (event,) = rules.passed(column("mine"), ME, RUN._replace(committing=True)).events
    assert (event.checkout, event.head, event.tree, event.branch) == (HERE, "head", "tree", "refs/heads/main")
    assert event.committing
    assert event.attempts == 2
    assert event.check == "pytest"


def test_a_fix_is_what_was_committed_since_the_claim_where_nothing_is_left_to_commit() -> None:
    claimed = only(rules.failed(column("broken"), ME, RUN._replace(head="old")))
    heads = {}
    for name, run in {
        "all is committed": RUN,
        "edits are left": RUN._replace(loose="edits"),
        "a commit follows": RUN._replace(committing=True),
    }.items():
        (event,) = rules.passed(view_of(claimed), ME, run._replace(seen=99)).events
        heads[name] = event.head
    assert heads == {"all is committed": "old", "edits are left": "head", "a commit follows": "head"}
    (event,) = rules.passed(view_of(only(rules.failed(column("broken"), ME, RUN))), ME, MOVED).events
    assert event.head == "head", "another checkout's commits are no part of it"


def test_a_fixer_that_moved_ends_its_claim_on_the_head_that_it_began_on() -> None:
    claimed = only(rules.failed(column("broken"), ME, RUN))
    assert rules.passed(view_of(claimed), ME, MOVED).outcome is Outcome.FIXED
    for elsewhere in (MOVED._replace(head="an old branch"), MOVED._replace(head="")):
        after = only(rules.passed(view_of(claimed._replace(head="")), ME, elsewhere))
        assert after.status is Status.FIXING
    another = only(rules.passed(view_of(claimed), ME, MOVED._replace(head="an old branch")))
    assert another.claim == claimed.claim, "what passes there may never have been broken there"


def test_what_passes_with_somebodys_uncommitted_edits_does_not_end_the_fixers_claim() -> None:
    loose = RUN._replace(loose="another tree")
    assert rules.passed(column("live"), ME, loose).outcome is Outcome.PASSED
    (event,) = rules.passed(column("stale"), ME, loose._replace(committing=True)).events
    assert (event.kind, event.tree, event.committing) == (Outcome.FIXED, "another tree", False)
    assert rules.passed(column("broken"), ME, loose).outcome is Outcome.FIXED
    assert rules.passed(column("mine"), ME, loose).outcome is Outcome.FIXED


@pytest.mark.parametrize(
    ("staged", "loose", "tree", "committing"),
    [
        ("as it failed", "edits", "edits", False),
        ("as it failed", "", "tree", True),
        ("something else", "edits", "tree", True),
        ("", "edits", "tree", True),
    ],
)
def test_a_commit_that_failed_before_as_it_is_was_mended_by_what_is_not_in_it(
    staged: str, loose: str, tree: str, committing: bool
) -> None:
    failed = RUN._replace(committing=True, staged="as it failed")
    claimed = only(rules.failed(column("broken"), ME, failed))
    by_hand = only(rules.failed(view_of(claimed), ME, RUN._replace(seen=99)))
    again = failed._replace(seen=99, staged=staged, loose=loose)
    (event,) = rules.passed(view_of(by_hand), ME, again).events
    assert (event.tree, event.committing) == (tree, committing)


def test_what_the_fixer_broke_and_mended_on_its_way_is_not_the_breakage() -> None:
    claimed = only(rules.failed(column("passing"), ME, RUN))
    slipped = only(rules.failed(view_of(claimed), ME, RUN._replace(seen=99, failures=("test_b", "test_slip"))))
    assert (slipped.began, slipped.failures) == (("test_b",), ("test_b", "test_slip"))
    mended = only(rules.failed(view_of(slipped), ME, RUN._replace(seen=99, failures=("test_c",))))
    assert (mended.began, mended.failures) == (("test_b",), ("test_b", "test_c"))
    (event,) = rules.passed(view_of(mended), ME, RUN._replace(seen=99)).events
    assert event.failures == ("test_b",)


def test_a_claim_by_hand_learns_from_its_first_run_what_it_began_with() -> None:
    by_hand = only(rules.failed(column("passing"), ME, None))
    after = only(rules.failed(view_of(by_hand), ME, RUN._replace(seen=99)))
    assert (after.check, after.began, after.failures) == ("pytest", ("test_b",), ("test_b",))


def test_a_claim_by_hand_begins_on_the_head_of_its_checkout() -> None:
    assert only(rules.failed(column("broken"), ME._replace(head="mine"), None)).head == "mine"


def test_a_release_by_word_says_what_it_leaves_behind() -> None:
    claimed = only(rules.failed(column("broken"), ME, RUN._replace(head="old")))
    (event,) = rules.release(view_of(claimed), ME, None, gave_up=False, reason="", run=RUN).events
    assert (event.head, event.tree, event.branch, event.committing) == ("old", "tree", "refs/heads/main", False)


# The superseded fixer


@pytest.mark.parametrize(
    ("event", "state"), [("failed", "stale"), ("passed here", "live"), ("reset", "live"), ("reset", "stale")]
)
def test_a_fixer_that_lost_the_role_is_remembered_with_its_number(event: str, state: str) -> None:
    after = only(EVENTS[event](column(state)))
    assert (after.superseded_agent, after.superseded_number) == ("ann", 5)


@pytest.mark.parametrize("event", ["passed here", "release", "release --gave-up"])
def test_a_fixer_that_ended_its_claim_itself_is_not_superseded(event: str) -> None:
    assert only(EVENTS[event](column("mine"))).superseded_agent is None


def test_a_superseded_fixer_that_claims_again_is_superseded_no_more() -> None:
    lost = only(rules.reset(column("live"), "me"))
    after = only(rules.failed(view_of(lost), ME._replace(agent="ann"), RUN._replace(seen=99)))
    assert (after.superseded_agent, after.superseded_number) == (None, None)


def test_a_superseded_fixer_is_remembered_while_others_claim() -> None:
    lost = only(rules.reset(column("live"), "me"))
    after = only(rules.failed(view_of(lost), ME, RUN._replace(seen=99)))
    assert (after.superseded_agent, after.superseded_number) == ("ann", 5)
