"""The state machine: every cell of the table in docs/rules.md, which passes count, and what a commit holds."""

from collections.abc import Callable

import pytest
from testing.documents import code, rows, section
from testing.heart import (
    ALL,
    ANN,
    BROKEN,
    CODE,
    FAILED_HERE,
    HEAD,
    HERE,
    LAST_EVENT,
    LATER,
    MAIN,
    ME,
    MINE,
    NOTE,
    NOTHING,
    NOW,
    OLD_BRANCH,
    OTHER_HEAD,
    PASS,
    PASSING,
    RUN,
    SOME,
    THERE,
    THIRD,
    UNCHANGED,
    breakage,
    fixing,
    held,
    of,
    only,
    view_of,
)
from testing.support import PROJECT

from buildguard.claims import rules
from buildguard.claims.model import (
    LANDING,
    REPO,
    Breakage,
    Claim,
    Event,
    Kind,
    Landed,
    Landing,
    Outcome,
    Run,
    Seen,
    State,
    Status,
    Step,
    View,
)

RULES = PROJECT / "docs" / "rules.md"
SILENT = ANN._replace(seen_at=NOW - 900.0)
STATES = {
    "passing": PASSING,
    "broken": BROKEN,
    "mine": fixing(MINE),
    "live": fixing(ANN),
    "stale": fixing(SILENT),
}


def passes(landing: Landing, clean: bool = False) -> Callable[[View], Step]:
    return lambda view: rules.passed(view, "me", PASS._replace(landings=(landing,), clean=clean))


EVENTS: dict[str, Callable[[View], Step]] = {
    "failed, claiming": lambda view: rules.failed(view, ME, RUN),
    "failed, reporting": lambda view: rules.failed(view, ME, RUN, claiming=False),
    "all of it committed, nothing loose": passes(ALL, clean=True),
    "all of it committed": passes(ALL),
    "some of it committed": passes(SOME),
    "nothing of it committed": passes(NOTHING),
    "on the very files that failed": passes(UNCHANGED, clean=True),
    "release": lambda view: rules.release(view, ME, None, False, ""),
    "release --gave-up": lambda view: rules.release(view, ME, None, True, "no idea"),
    "reset": lambda view: rules.reset(view, "me"),
    "reset --claim": lambda view: rules.reset(view, "me", evict=True),
}

KEPT = {"broken": "broken 5", "mine": "fixing 5 by me", "live": "fixing 5 by ann", "stale": "fixing 5 by ann"}
PASSED = "passed: passing 5"
TABLE = {
    "failed, claiming": {
        "passing": "claimed: fixing 8 by me; claimed, passing to fixing",
        "broken": "claimed: fixing 8 by me; claimed, broken to fixing",
        "mine": "renewed: fixing 5 by me, renewed",
        "live": f"busy: {KEPT['live']}, not written",
        "stale": "taken_over: fixing 8 by me; taken_over, fixing to fixing",
    },
    "failed, reporting": {
        "passing": "broken: broken 5; broken, passing to broken",
        "broken": f"broken: {KEPT['broken']}, not written",
        "mine": "renewed: fixing 5 by me, renewed",
        "live": f"busy: {KEPT['live']}, not written",
        "stale": f"broken: {KEPT['stale']}, not written",
    },
    "all of it committed, nothing loose": {
        "passing": PASSED,
        "broken": "fixed: passing 5; fixed, broken to passing",
        "mine": "fixed: passing 5; fixed, fixing to passing",
        "live": "fixed: passing 5; fixed, fixing to passing",
        "stale": "fixed: passing 5; fixed, fixing to passing",
    },
    "all of it committed": {
        "passing": PASSED,
        "broken": "fixed: passing 5; fixed, broken to passing",
        "mine": "fixed: passing 5; fixed, fixing to passing",
        "live": f"passed: {KEPT['live']}",
        "stale": "fixed: passing 5; fixed, fixing to passing",
    },
    "some of it committed": {
        "passing": PASSED,
        "broken": "landed: broken 5, but note; landed, broken to broken",
        "mine": "landed: fixing 5 by me, renewed, but note; landed, fixing to fixing",
        "live": f"passed: {KEPT['live']}",
        "stale": "landed: fixing 5 by ann, but note; landed, fixing to fixing",
    },
    "nothing of it committed": {
        "passing": PASSED,
        "broken": f"not_committed: {KEPT['broken']}",
        "mine": "not_committed: fixing 5 by me, renewed",
        "live": f"passed: {KEPT['live']}",
        "stale": f"not_committed: {KEPT['stale']}",
    },
    "on the very files that failed": {
        "passing": PASSED,
        "broken": "recovered: passing 5; recovered, broken to passing",
        "mine": "recovered: passing 5; recovered, fixing to passing",
        "live": f"passed: {KEPT['live']}",
        "stale": "recovered: passing 5; recovered, fixing to passing",
    },
    "release": {
        "passing": "nothing_held: passing 5, not written",
        "broken": f"nothing_held: {KEPT['broken']}, not written",
        "mine": "released: passing 5; released, fixing to passing",
        "live": f"not_yours: {KEPT['live']}, not written",
        "stale": f"not_yours: {KEPT['stale']}, not written",
    },
    "release --gave-up": {
        "passing": "nothing_held: passing 5, not written",
        "broken": f"nothing_held: {KEPT['broken']}, not written",
        "mine": "gave_up: broken 5; gave_up, fixing to broken",
        "live": f"not_yours: {KEPT['live']}, not written",
        "stale": f"not_yours: {KEPT['stale']}, not written",
    },
    "reset": {
        "passing": "reset: passing 5, not written",
        "broken": "reset: passing 5; reset, broken to passing",
        "mine": "reset: passing 5; reset, fixing to passing",
        "live": "reset: passing 8; reset, fixing to passing",
        "stale": "reset: passing 8; reset, fixing to passing",
    },
    "reset --claim": {
        "passing": "nothing_held: passing 5, not written",
        "broken": f"nothing_held: {KEPT['broken']}, not written",
        "mine": "evicted: broken 5; evicted, fixing to broken",
        "live": "evicted: broken 8; evicted, fixing to broken",
        "stale": "evicted: broken 8; evicted, fixing to broken",
    },
}
"""The number 5 is the breakage's own, 8 the next one. What is `not written` leaves the row as it was."""
CELLS = [(event, state) for event in TABLE for state in STATES]


def told(view: View, step: Step) -> str:
    """A step in words: its outcome, how the scope then stands, and what the history says."""
    after = only(step) if step.states else view.state
    words = f"{step.outcome}: {after.status} {after.number}"
    if after.claim is not None:
        words += f" by {after.claim.agent}"
        words += (
            ", renewed"
            if view.state.claim and after.claim.seen_at != view.state.claim.seen_at and after.number == 5
            else ""
        )
    if after.breakage is not None and after.breakage.landed is not None:
        words += f", but {' '.join(after.breakage.landed.loose)}"
    words += "" if step.states else ", not written"
    return words + "".join(f"; {event.kind}, {event.before} to {event.after}" for event in step.events)


@pytest.mark.parametrize(("event", "state"), CELLS)
def test_every_cell_of_the_table(event: str, state: str) -> None:
    view = view_of(STATES[state])
    assert told(view, EVENTS[event](view)) == TABLE[event][state]


def test_the_document_tells_the_same_table() -> None:
    told = {
        row[0]: dict(zip(STATES, (code(cell)[0] for cell in row[1:]), strict=True))
        for row in rows(section(RULES, "The table"))
    }
    assert told == {
        event: {state: cell.partition(":")[0] for state, cell in cells.items()} for event, cells in TABLE.items()
    }


@pytest.mark.parametrize(("event", "state"), CELLS)
def test_no_step_touches_scope_or_revision_that_its_write_depends_on(event: str, state: str) -> None:
    step = EVENTS[event](view_of(STATES[state]))
    assert step.scope == HERE
    assert {(after.scope, after.revision) for after in step.states} <= {(HERE, 3)}
    assert {happened.scope for happened in step.events} <= {HERE}


@pytest.mark.parametrize(("event", "state"), CELLS)
def test_an_open_breakage_keeps_when_it_began_and_what_it_began_with(event: str, state: str) -> None:
    for after in EVENTS[event](view_of(STATES[state])).states:
        if after.breakage is not None and state != "passing":
            kept = of(after)
            assert (kept.since, kept.check, kept.began) == (4_000.0, "pytest", ("test_a",))
            assert after.changed == 14
            assert kept.seen == {HERE: FAILED_HERE}


@pytest.mark.parametrize(("event", "state"), CELLS)
def test_every_end_of_a_breakage_outdates_what_had_begun_before_it(event: str, state: str) -> None:
    view = view_of(STATES[state])
    for after in EVENTS[event](view).states:
        if after.breakage is None and view.state.breakage is not None:
            assert after.changed == LAST_EVENT
            assert rules.failed(view_of(after), ME, RUN).outcome is Outcome.OUTDATED


@pytest.mark.parametrize(("event", "state"), CELLS)
def test_every_end_in_the_history_says_how_long_the_breakage_lasted(event: str, state: str) -> None:
    for happened in EVENTS[event](view_of(STATES[state])).events:
        assert happened.lasted == (6_000.0 if happened.after is Status.PASSING else None)


# A claim


def test_a_claim_bears_the_terms_of_its_maker() -> None:
    terms = ME._replace(stale_after=60.0, max_claim=120.0)
    claim = held(only(rules.failed(view_of(PASSING), terms, RUN)))
    assert claim == Claim("me", HERE, NOW, NOW, 60.0, 120.0, "my process", attempts=1)


def test_a_claim_on_a_passing_build_opens_a_breakage() -> None:
    after = only(rules.failed(view_of(PASSING), ME, RUN))
    assert after._replace(breakage=None) == PASSING._replace(number=8, changed=LAST_EVENT, last_check=NOW)
    assert of(after)._replace(claim=None) == Breakage(
        "pytest", NOW, ("test_b",), ("test_b",), "", {HERE: Seen(HEAD, MAIN, "files of the run")}, None
    )


@pytest.mark.parametrize("state", ["broken", "stale"])
def test_a_claim_on_an_open_breakage_keeps_its_beginning(state: str) -> None:
    after = only(rules.failed(view_of(STATES[state]), ME, RUN))
    assert after._replace(breakage=None) == PASSING._replace(number=8, changed=14, last_check=NOW)
    assert of(after)._replace(claim=None) == of(BROKEN)._replace(failures=("test_a", "test_b"))


def test_the_event_of_a_claim_says_what_failed_where() -> None:
    (event,) = rules.failed(view_of(PASSING), ME, RUN).events
    assert event == Event(
        Kind.CLAIMED,
        HERE,
        8,
        "me",
        check="pytest",
        failures=("test_b",),
        checkout=HERE,
        head=HEAD,
        branch=MAIN,
        before=Status.PASSING,
        after=Status.FIXING,
        heads=(HEAD,),
        seen=(HERE,),
    )


def test_a_takeover_names_the_old_fixer_its_attempts_and_why_it_lost_the_role() -> None:
    (event,) = rules.failed(view_of(STATES["stale"]), ME, RUN).events
    assert (event.kind, event.number, event.agent) == (Kind.TAKEN_OVER, 8, "me")
    assert (event.other, event.attempts, event.reason) == ("ann", 2, "silent")
    assert (event.checkout, event.head, event.branch) == (HERE, HEAD, MAIN)


def test_a_claim_shows_the_reason_of_those_who_gave_up() -> None:
    assert of(only(rules.failed(view_of(BROKEN), ME, RUN))).reason == "too hard"


def test_a_claim_takes_back_what_had_landed() -> None:
    landed = breakage(BROKEN, landed=Landed(NOW, HERE, ("note",)))
    assert of(only(rules.failed(view_of(landed), ME, RUN))).landed is None


def test_a_superseded_fixer_cannot_release() -> None:
    after = only(rules.failed(view_of(STATES["stale"]), ME, RUN))
    ann = ME._replace(agent="ann")
    assert rules.release(view_of(after), ann, None, False, "").outcome is Outcome.NOT_YOURS


def test_another_agent_s_shorter_terms_cannot_evict_a_claim() -> None:
    hasty = ME._replace(stale_after=1.0, max_claim=1.0)
    assert rules.failed(view_of(STATES["live"]), hasty, RUN).outcome is Outcome.BUSY


# What failed


def test_failures_are_those_that_it_began_with_and_those_of_the_last_run() -> None:
    slipped = only(rules.failed(view_of(STATES["mine"]), ME, RUN._replace(failures=("test_slip", "test_a"))))
    assert (of(slipped).began, of(slipped).failures) == (("test_a",), ("test_a", "test_slip"))
    further = only(rules.failed(view_of(slipped), ME, RUN._replace(failures=("test_c",))))
    assert (of(further).began, of(further).failures) == (("test_a",), ("test_a", "test_c"))


def test_an_event_names_the_failures_that_the_breakage_began_with() -> None:
    further = only(rules.failed(view_of(STATES["mine"]), ME, RUN))
    assert rules.reset(view_of(further), "me").events[0].failures == ("test_a",)


def test_an_event_names_the_last_run_s_failures_where_it_began_without_any() -> None:
    unnamed = breakage(BROKEN, began=(), failures=())
    (event,) = rules.failed(view_of(unnamed), ME, RUN).events
    assert event.failures == ("test_b",)


def test_a_failure_without_ids_keeps_those_that_the_breakage_began_with() -> None:
    after = only(rules.failed(view_of(BROKEN), ME, RUN._replace(failures=())))
    assert of(after).failures == ("test_a",)


def test_no_more_failures_are_kept_than_fit() -> None:
    many = tuple(f"test_{number}" for number in range(400))
    after = only(rules.failed(view_of(STATES["mine"]), ME, RUN._replace(failures=many)))
    assert of(after).failures == ("test_a", *many[:399])


# Renewed


def test_a_fixer_whose_check_fails_again_keeps_the_claim_and_the_attempt_is_counted() -> None:
    another_process = ME._replace(process="another process")
    after = only(rules.failed(view_of(STATES["mine"]), another_process, RUN))
    assert held(after) == MINE._replace(seen_at=NOW, attempts=3, process="another process")
    assert after.last_check == NOW


@pytest.mark.parametrize("run", [RUN, None])
@pytest.mark.parametrize(
    ("claimed_by", "renewed_by", "told"),
    [
        ("one", "another", True),
        ("one", "one", False),
        (None, "another", False),
        ("one", None, False),
        (None, None, False),
    ],
)
def test_a_renewal_by_another_process_of_the_session_is_told(
    claimed_by: str | None, renewed_by: str | None, told: bool, run: Run | None
) -> None:
    view = view_of(fixing(MINE._replace(process=claimed_by)))
    step = rules.failed(view, ME._replace(process=renewed_by), run)
    said = "renewed by this session 100 s ago; if that was another sub-agent, use --agent"
    assert (step.outcome, step.why) == (Outcome.RENEWED, said if told else "")


def test_a_renewal_in_the_future_was_just_now() -> None:
    view = view_of(fixing(MINE._replace(process="one", seen_at=NOW + 50)))
    assert rules.failed(view, ME, RUN).why.startswith("renewed by this session 0 s ago")


def test_a_renewal_cannot_change_the_terms_of_the_claim() -> None:
    claim = held(only(rules.failed(view_of(STATES["mine"]), ME._replace(stale_after=9e5, max_claim=9e5), RUN)))
    assert (claim.stale_after, claim.max_claim) == (900.0, 3600.0)


def test_a_fixer_who_fails_again_takes_back_what_had_landed() -> None:
    landed = breakage(STATES["mine"], landed=Landed(NOW, HERE, ("note",)))
    assert of(only(rules.failed(view_of(landed), ME, RUN))).landed is None


def test_a_fixer_who_claims_again_by_hand_gives_a_sign_of_life_and_no_attempt() -> None:
    landed = Landed(NOW, HERE, ("note",))
    after = only(rules.failed(view_of(breakage(STATES["mine"], landed=landed)), ME, None))
    assert after == breakage(STATES["mine"], claim=MINE._replace(seen_at=NOW), landed=landed)


@pytest.mark.parametrize("ago", [900.0, 9_000.0])
def test_for_the_holder_mine_outranks_stale(ago: float) -> None:
    view = view_of(fixing(MINE._replace(seen_at=NOW - ago)))
    assert view.stale is not None
    assert rules.failed(view, ME, RUN).outcome is Outcome.RENEWED
    assert rules.passed(view, "me", PASS).outcome is Outcome.FIXED
    assert rules.release(view, ME, None, True, "").outcome is Outcome.GAVE_UP


def test_a_sign_of_life_renews_only_the_caller_s_own_claim() -> None:
    assert rules.alive(view_of(STATES["mine"]), "me") == fixing(MINE._replace(seen_at=NOW))
    assert rules.alive(view_of(STATES["live"]), "me") is None
    assert rules.alive(view_of(BROKEN), "me") is None


# By hand


def test_a_claim_by_hand_knows_of_no_check_and_no_run() -> None:
    after = only(rules.failed(view_of(PASSING), ME, None))
    assert after._replace(breakage=None) == PASSING._replace(number=8, changed=LAST_EVENT)
    by_hand = {HERE: Seen(HEAD, MAIN, None)}
    assert of(after)._replace(claim=None) == Breakage("", NOW, seen=by_hand)
    assert held(after).attempts == 1


def test_the_event_of_a_claim_by_hand_says_where_the_caller_is() -> None:
    (event,) = rules.failed(view_of(PASSING), ME, None).events
    assert (event.check, event.checkout, event.head, event.branch) == ("", HERE, HEAD, MAIN)


def test_a_claim_by_hand_is_never_outdated() -> None:
    assert rules.failed(view_of(PASSING._replace(changed=LAST_EVENT)), ME, None).outcome is Outcome.CLAIMED


def test_a_claim_by_hand_on_an_open_breakage_leaves_it_as_it_was() -> None:
    after = only(rules.failed(view_of(BROKEN), ME, None))
    assert breakage(after, claim=None) == BROKEN._replace(number=8)


def test_a_claim_by_hand_in_another_checkout_joins_it() -> None:
    after = only(rules.failed(view_of(BROKEN), ME._replace(checkout=THERE, head=LATER), None))
    assert of(after).seen == {HERE: FAILED_HERE, THERE: Seen(LATER, MAIN, None)}


def test_who_claims_by_hand_while_another_fixes_has_shown_nothing() -> None:
    step = rules.failed(view_of(STATES["live"]), ME._replace(checkout=THERE), None)
    assert step == Step(Outcome.BUSY, HERE)


def test_what_was_claimed_by_hand_and_given_up_can_be_claimed_by_hand_again() -> None:
    given_up = breakage(only(rules.failed(view_of(PASSING), ME, None)), claim=None)
    after = only(rules.failed(view_of(given_up), ME._replace(agent="bob"), None))
    assert breakage(after, claim=None) == given_up._replace(number=9)


def test_a_claim_by_hand_learns_from_its_first_run_what_fails() -> None:
    by_hand = only(rules.failed(view_of(PASSING), ME, None))
    after = only(rules.failed(view_of(by_hand), ME, RUN._replace(head=LATER)))
    assert (of(after).check, of(after).began, of(after).failures) == ("pytest", ("test_b",), ("test_b",))
    assert of(after).seen == {HERE: Seen(LATER, MAIN, "files of the run")}


def test_what_a_claim_by_hand_has_learned_stays() -> None:
    by_hand = only(rules.failed(view_of(PASSING), ME, None))
    first = only(rules.failed(view_of(by_hand), ME, RUN))
    after = only(rules.failed(view_of(first), ME, RUN._replace(failures=("test_c",), files="others")))
    assert of(after).began == ("test_b",)
    assert of(after).seen == {HERE: Seen(HEAD, MAIN, "files of the run")}


BY_HAND = breakage(STATES["mine"], check="", began=(), failures=(), seen={HERE: Seen(HEAD, MAIN, None)})


@pytest.mark.parametrize(
    ("head", "clean", "outcome"),
    [
        (HEAD, False, Outcome.PENDING),
        (LATER, False, Outcome.FIXED),
        (HEAD, True, Outcome.FIXED),
        (LATER, True, Outcome.FIXED),
    ],
)
def test_a_claim_by_hand_ends_by_a_pass_after_a_commit_or_on_clean_files(
    head: str, clean: bool, outcome: Outcome
) -> None:
    run = PASS._replace(check="whatever", head=head, clean=clean, landings=())
    assert rules.passed(view_of(BY_HAND), "me", run).outcome is outcome


def test_another_s_claim_by_hand_ends_only_on_clean_files() -> None:
    view = view_of(breakage(BY_HAND, claim=ANN))
    assert rules.passed(view, "me", PASS._replace(landings=())).outcome is Outcome.PASSED
    assert rules.passed(view, "me", PASS._replace(landings=(), clean=True)).outcome is Outcome.FIXED


def test_what_failed_meanwhile_elsewhere_counts_for_a_claim_by_hand() -> None:
    there = ME._replace(agent="bob", checkout=THERE)
    joined = only(rules.failed(view_of(BY_HAND), there, RUN._replace(checkout=THERE)))
    assert (of(joined).check, of(joined).seen[THERE].files) == ("", "files of the run")
    given_up = breakage(joined, claim=None)
    loose = Landing("files of the run", (CODE,), ("code",))
    passed = rules.passed(view_of(given_up), "bob", PASS._replace(checkout=THERE, landings=(loose,)))
    assert passed.outcome is Outcome.PENDING


# Reported


def test_a_report_opens_a_breakage_that_nobody_fixes() -> None:
    step = rules.failed(view_of(PASSING), ME, RUN, claiming=False)
    after = only(step)
    assert after._replace(breakage=None) == PASSING._replace(changed=LAST_EVENT, last_check=NOW)
    assert of(after).claim is None
    assert of(after).seen == {HERE: Seen(HEAD, MAIN, "files of the run")}
    (event,) = step.events
    assert (event.kind, event.agent, event.checkout, event.head) == (Kind.REPORTED, "me", HERE, HEAD)


# Joined


THERE_RUN = RUN._replace(checkout=THERE, head=OTHER_HEAD, branch=OLD_BRANCH, failures=("test_a",))
FAILED_THERE = Seen(OTHER_HEAD, OLD_BRANCH, "files of the run")
BOB = ME._replace(agent="bob", checkout=THERE)


@pytest.mark.parametrize(
    ("state", "claiming", "outcome"),
    [
        ("live", True, Outcome.BUSY),
        ("live", False, Outcome.BUSY),
        ("stale", False, Outcome.REPORTED),
        ("broken", False, Outcome.REPORTED),
    ],
)
def test_a_second_checkout_joins_and_makes_it_the_repository_s(
    state: str, claiming: bool, outcome: Outcome
) -> None:
    view = view_of(STATES[state])
    step = rules.failed(view, BOB, THERE_RUN, claiming)
    assert step.outcome is outcome
    assert only(step) == breakage(view.state, seen={HERE: FAILED_HERE, THERE: FAILED_THERE})
    (event,) = step.events
    assert (event.kind, event.agent, event.checkout, event.head) == (Kind.SHARED, "bob", THERE, OTHER_HEAD)
    assert event.other == (None if state == "broken" else "ann")
    assert (event.seen, event.heads) == ((HERE, THERE), (HEAD, OTHER_HEAD))


def test_a_third_checkout_joins_without_a_word() -> None:
    shared = breakage(STATES["live"], seen={HERE: FAILED_HERE, THIRD: FAILED_THERE})
    step = rules.failed(view_of(shared), BOB, THERE_RUN)
    assert set(of(only(step)).seen) == {HERE, THERE, THIRD}
    assert step.events == ()


def test_what_is_everybody_s_by_its_name_is_joined_without_a_word() -> None:
    step = rules.failed(view_of(STATES["live"]._replace(scope=REPO)), BOB, THERE_RUN)
    assert set(of(only(step)).seen) == {HERE, THERE}
    assert step.events == ()


def test_a_checkout_joins_once() -> None:
    joined = only(rules.failed(view_of(STATES["live"]), BOB, THERE_RUN))
    again = rules.failed(view_of(joined), BOB, THERE_RUN._replace(files="other files"))
    assert again == Step(Outcome.BUSY, HERE)


def test_the_first_failing_run_after_a_claim_by_hand_is_what_a_checkout_joins_with() -> None:
    by_hand = breakage(STATES["live"], seen={HERE: FAILED_HERE, THERE: Seen(HEAD, MAIN, None)})
    assert of(only(rules.failed(view_of(by_hand), BOB, THERE_RUN))).seen[THERE] == FAILED_THERE


def test_a_claim_in_another_checkout_joins_that_one() -> None:
    after = only(rules.failed(view_of(BROKEN), BOB, THERE_RUN))
    assert (held(after).checkout, of(after).seen) == (THERE, {HERE: FAILED_HERE, THERE: FAILED_THERE})


def test_checkouts_that_are_gone_leave_when_it_fails_again() -> None:
    shared = breakage(STATES["live"], seen={THIRD: FAILED_HERE, HERE: FAILED_HERE})
    view = view_of(shared)._replace(gone=frozenset({THIRD}))
    assert set(of(only(rules.failed(view, BOB, THERE_RUN))).seen) == {HERE, THERE}
    assert set(of(only(rules.failed(view, ME._replace(agent="ann"), RUN))).seen) == {HERE}


def test_a_checkout_that_joins_alone_since_the_others_are_gone_makes_it_nobody_else_s() -> None:
    left_behind = breakage(STATES["live"], seen={THIRD: FAILED_HERE})
    step = rules.failed(view_of(left_behind)._replace(gone=frozenset({THIRD})), BOB, THERE_RUN)
    assert of(only(step)).seen == {THERE: FAILED_THERE}
    assert step.events == ()


@pytest.mark.parametrize("files", ["files of the run", "others", ""])
@pytest.mark.parametrize("state", ["broken", "mine", "stale"])
def test_the_files_that_failed_first_are_never_forgotten(state: str, files: str) -> None:
    after = only(rules.failed(view_of(STATES[state]), ME, RUN._replace(files=files, head=LATER)))
    assert of(after).seen == {HERE: FAILED_HERE}


def test_files_that_were_not_known_when_it_failed_first_stay_unknown() -> None:
    unknown = breakage(STATES["mine"], seen={HERE: FAILED_HERE._replace(files="")})
    assert of(only(rules.failed(view_of(unknown), ME, RUN))).seen[HERE].files == ""


@pytest.mark.parametrize(
    ("moved", "files"),
    [
        ({"head": OTHER_HEAD, "branch": OLD_BRANCH}, "files of the run"),
        ({"head": LATER, "branch": OLD_BRANCH, "follows": frozenset({HEAD})}, "failed files"),
        ({"head": OTHER_HEAD, "branch": MAIN}, "failed files"),
    ],
)
def test_a_checkout_that_switched_away_and_fails_there_begins_anew(moved: dict[str, str], files: str) -> None:
    after = only(rules.failed(view_of(STATES["mine"]), ME, RUN._replace(**moved)))  # type: ignore[arg-type]
    assert of(after).seen[HERE].files == files


# Which passes count


def assert_counts_not(step: Step, state: State) -> None:
    """The pass was noted and ended nothing."""
    assert step.outcome is Outcome.PASSED
    assert step.events == ()
    assert only(step) == state._replace(last_check=NOW)


@pytest.mark.parametrize("seen", [-1, 13, 14])
@pytest.mark.parametrize("landing", [ALL, SOME, NOTHING, UNCHANGED])
def test_a_pass_that_began_before_the_breakage_ends_nothing(landing: Landing, seen: int) -> None:
    run = PASS._replace(seen=seen, clean=True, landings=(landing,))
    assert_counts_not(rules.passed(view_of(BROKEN), "me", run), BROKEN)


def test_a_pass_that_began_just_after_the_breakage_ends_it() -> None:
    assert rules.passed(view_of(BROKEN), "me", PASS._replace(seen=15)).outcome is Outcome.FIXED


@pytest.mark.parametrize("state", ["broken", "mine", "live", "stale"])
def test_a_pass_of_another_check_touches_neither_claim_nor_breakage(state: str) -> None:
    step = rules.passed(view_of(STATES[state]), "me", PASS._replace(check="ruff", clean=True))
    assert step == Step(Outcome.PASSED, HERE)


@pytest.mark.parametrize("state", ["broken", "live"])
def test_a_pass_in_a_checkout_that_was_not_seen_to_have_it_ends_nothing(state: str) -> None:
    run = PASS._replace(checkout=THERE, clean=True)
    assert_counts_not(rules.passed(view_of(STATES[state]), "me", run), STATES[state])


def test_a_pass_in_the_second_checkout_that_has_it_counts() -> None:
    shared = breakage(BROKEN, seen={HERE: FAILED_HERE, THERE: FAILED_HERE._replace(files="theirs")})
    run = PASS._replace(checkout=THERE, landings=(NOTHING, ALL._replace(failed="theirs")))
    assert rules.passed(view_of(shared), "me", run).outcome is Outcome.FIXED


@pytest.mark.parametrize(
    ("moved", "counts"),
    [
        ({"head": HEAD, "branch": OLD_BRANCH}, True),
        ({"head": LATER, "branch": OLD_BRANCH, "follows": frozenset({HEAD})}, True),
        ({"head": OTHER_HEAD, "branch": MAIN}, True),
        ({"head": OTHER_HEAD, "branch": OLD_BRANCH}, False),
        ({"head": OTHER_HEAD, "branch": ""}, False),
    ],
)
def test_a_pass_counts_only_where_the_checkout_still_is_where_it_failed(
    moved: dict[str, str], counts: bool
) -> None:
    run = PASS._replace(follows=frozenset())._replace(**moved)  # type: ignore[arg-type]
    step = rules.passed(view_of(BROKEN), "me", run)
    assert step.outcome is (Outcome.FIXED if counts else Outcome.LEFT)


SWITCHED = PASS._replace(head=OTHER_HEAD, branch=OLD_BRANCH, follows=frozenset(), clean=True)
SHARED = breakage(STATES["live"], seen={HERE: FAILED_HERE, THERE: FAILED_HERE})


def test_a_checkout_that_switched_away_leaves_and_nothing_ends() -> None:
    step = rules.passed(view_of(SHARED), "me", SWITCHED._replace(checkout=THERE))
    assert (step.outcome, step.events) == (Outcome.LEFT, ())
    assert only(step) == breakage(SHARED, seen={HERE: FAILED_HERE})._replace(last_check=NOW)


def test_the_fixer_s_own_checkout_stays_so_that_its_commit_counts_when_it_is_back() -> None:
    mine = breakage(SHARED, claim=MINE)
    step = rules.passed(view_of(mine), "me", SWITCHED)
    assert step.outcome is Outcome.LEFT
    assert only(step) == breakage(mine, claim=MINE._replace(seen_at=NOW))._replace(last_check=NOW)
    assert rules.passed(view_of(only(step)), "me", PASS).outcome is Outcome.FIXED


def test_the_last_checkout_stays_so_that_a_commit_can_end_it() -> None:
    left = rules.passed(view_of(BROKEN), "me", SWITCHED)
    assert left.outcome is Outcome.LEFT
    assert only(left) == BROKEN._replace(last_check=NOW)


def test_an_unidentified_caller_s_pass_ends_what_nobody_fixes() -> None:
    (event,) = rules.passed(view_of(BROKEN), None, PASS).events
    assert event.agent == ""
    assert rules.passed(view_of(STATES["stale"]), None, PASS).outcome is Outcome.FIXED
    assert rules.passed(view_of(STATES["live"]), None, PASS).outcome is Outcome.PASSED


def test_a_pass_that_counts_for_nothing_is_a_sign_of_life_of_the_holder() -> None:
    step = rules.passed(view_of(STATES["mine"]), "me", PASS._replace(seen=0))
    assert only(step) == fixing(MINE._replace(seen_at=NOW))._replace(last_check=NOW)


# What a commit holds


def test_a_fix_names_its_commits_its_paths_and_where_it_was_made() -> None:
    (event,) = rules.passed(view_of(STATES["mine"]), "me", PASS).events
    assert event == Event(
        Kind.FIXED,
        HERE,
        5,
        "me",
        check="pytest",
        failures=("test_a",),
        attempts=2,
        checkout=HERE,
        head=LATER,
        branch=MAIN,
        before=Status.FIXING,
        after=Status.PASSING,
        lasted=6_000.0,
        heads=(HEAD,),
        seen=(HERE,),
        commits=("c1", "c2"),
        contents=(CODE, NOTE),
    )


def test_a_fix_that_another_made_names_the_fixer() -> None:
    (event,) = rules.passed(view_of(STATES["stale"]), "me", PASS).events
    assert (event.agent, event.other, event.attempts) == ("me", "ann", 2)


def test_an_end_leaves_the_number_and_nothing_of_the_breakage() -> None:
    after = only(rules.passed(view_of(STATES["mine"]), "me", PASS))
    assert after == PASSING._replace(changed=LAST_EVENT, last_check=NOW)


def test_a_fix_without_commits_went_back() -> None:
    back = ALL._replace(commits=())
    (event,) = rules.passed(view_of(STATES["mine"]), "me", PASS._replace(landings=(back,))).events
    assert (event.kind, event.reason, event.commits) == (Kind.FIXED, "by going back to 2b3c4d5", ())


@pytest.mark.parametrize("landing", [ALL, UNCHANGED])
def test_nothing_else_went_back(landing: Landing) -> None:
    (event,) = rules.passed(view_of(STATES["mine"]), "me", PASS._replace(landings=(landing,))).events
    assert event.reason == ""


def test_what_landed_without_a_commit_of_its_own_has_not_gone_back() -> None:
    (event,) = rules.passed(
        view_of(STATES["mine"]), "me", PASS._replace(landings=(SOME._replace(commits=()),))
    ).events
    assert (event.kind, event.reason) == (Kind.LANDED, "")


def test_a_fix_of_what_was_claimed_by_hand_has_not_gone_back() -> None:
    (event,) = rules.passed(view_of(BY_HAND), "me", PASS._replace(landings=())).events
    assert (event.kind, event.reason) == (Kind.FIXED, "")


def test_before_the_first_commit_there_is_nothing_to_go_back_to() -> None:
    unborn = breakage(STATES["mine"], seen={HERE: Seen("", MAIN, "failed files")})
    run = PASS._replace(head="", landings=(ALL._replace(commits=()),))
    (event,) = rules.passed(view_of(unborn), "me", run).events
    assert (event.reason, event.heads) == ("", ())


@pytest.mark.parametrize(("clean", "outcome"), [(True, Outcome.FIXED), (False, Outcome.PENDING)])
@pytest.mark.parametrize("files", ["", "files that are gone"])
def test_where_the_files_that_failed_are_not_known_only_a_clean_pass_is_a_fix(
    files: str, clean: bool, outcome: Outcome
) -> None:
    unknown = breakage(STATES["mine"], seen={HERE: FAILED_HERE._replace(files=files)})
    assert rules.passed(view_of(unknown), "me", PASS._replace(clean=clean)).outcome is outcome


def test_a_pass_that_leaves_all_loose_is_written_without_an_event() -> None:
    step = rules.passed(view_of(STATES["mine"]), "me", PASS._replace(landings=(NOTHING,)))
    assert step.events == ()
    assert only(step) == fixing(MINE._replace(seen_at=NOW))._replace(last_check=NOW)


# Landed


LANDED = Landed(NOW - 60.0, HERE, ("note",), LATER, MAIN, ("c1",), (CODE, NOTE))


def test_what_has_landed_is_kept_with_what_has_not() -> None:
    step = rules.passed(view_of(STATES["mine"]), "me", PASS._replace(landings=(SOME,)))
    assert of(only(step)).landed == LANDED._replace(at=NOW)
    (event,) = step.events
    assert (event.kind, event.agent, event.commits, event.contents) == (Kind.LANDED, "me", ("c1",), (CODE, NOTE))
    assert (event.checkout, event.head, event.branch, event.reason) == (HERE, LATER, MAIN, "")


def test_the_two_minutes_begin_when_the_first_of_it_landed() -> None:
    view = view_of(breakage(STATES["mine"], landed=LANDED))
    again = rules.passed(view, "me", PASS._replace(landings=(SOME,)))
    assert of(only(again)).landed == LANDED
    assert again.events == ()


def test_more_of_it_that_lands_is_told() -> None:
    three = (*ALL.changed, CODE._replace(path="more"))
    landed = Landed(NOW - 60.0, HERE, ("more", "note"))
    run = PASS._replace(landings=(SOME._replace(changed=three),))
    step = rules.passed(view_of(breakage(STATES["mine"], landed=landed)), "me", run)
    assert of(only(step)).landed == LANDED._replace(contents=three)
    assert [event.kind for event in step.events] == [Kind.LANDED]


def test_when_the_rest_has_landed_the_breakage_is_fixed() -> None:
    step = rules.passed(view_of(breakage(STATES["mine"], landed=LANDED)), "me", PASS)
    assert (step.outcome, only(step).status) == (Outcome.FIXED, Status.PASSING)


def over(state: str, **changes: object) -> View:
    """A scope in which some of the fix landed ten minutes ago."""
    landed = breakage(STATES[state], landed=LANDED._replace(at=NOW - 600.0))
    return view_of(breakage(landed, **changes))


@pytest.mark.parametrize(("state", "fixer", "attempts"), [("broken", "", 0), ("mine", "me", 2), ("live", "ann", 2)])
def test_two_minutes_later_it_ends_as_not_proved(state: str, fixer: str, attempts: int) -> None:
    view = over(state)
    end = rules.settled(view)
    assert end is not None
    assert end[0] == PASSING._replace(changed=14)
    assert end[1] == Event(
        Kind.FIXED,
        HERE,
        5,
        fixer,
        reason="not proved",
        check="pytest",
        failures=("test_a",),
        attempts=attempts,
        checkout=HERE,
        head=LATER,
        branch=MAIN,
        before=view.state.status,
        after=Status.PASSING,
        lasted=NOW - 600.0 + LANDING - 4_000.0,
        heads=(HEAD,),
        seen=(HERE,),
        commits=("c1",),
        contents=(CODE, NOTE),
    )


@pytest.mark.parametrize("state", [*STATES, "landed"])
def test_nothing_else_ends_by_time(state: str) -> None:
    landed = breakage(STATES["mine"], landed=LANDED)
    assert rules.settled(view_of({**STATES, "landed": landed}[state])) is None


AFTERWARDS = {
    "failed, claiming": "claimed: fixing 8 by me",
    "failed, reporting": "broken: broken 5",
    "all of it committed": "passed: passing 5",
    "release": "nothing_held: passing 5",
    "release --gave-up": "nothing_held: passing 5",
    "reset": "reset: passing 5",
    "reset --claim": "nothing_held: passing 5",
}


@pytest.mark.parametrize("state", ["broken", "mine", "live", "stale"])
@pytest.mark.parametrize("event", AFTERWARDS)
def test_whatever_happens_after_two_minutes_it_has_ended_before(event: str, state: str) -> None:
    view = over(state)
    step = EVENTS[event](view)
    assert told(view, step._replace(events=())) == AFTERWARDS[event]
    assert (step.events[0].kind, step.events[0].reason) == (Kind.FIXED, "not proved")
    assert [later.before for later in step.events[1:]] == [Status.PASSING] * len(step.events[1:])


def test_after_two_minutes_nobody_s_claim_is_kept_alive() -> None:
    assert rules.alive(over("mine"), "me") is None


def test_a_run_that_was_under_way_when_it_ended_by_time_counts() -> None:
    run = RUN._replace(seen=15)
    assert rules.failed(over("live"), ME, run).outcome is Outcome.CLAIMED


# A failure that proves nothing


@pytest.mark.parametrize("seen", [0, 11, 12])
@pytest.mark.parametrize("claiming", [True, False])
def test_a_failure_that_began_before_the_build_passed_is_outdated(seen: int, claiming: bool) -> None:
    step = rules.failed(view_of(PASSING), ME, RUN._replace(seen=seen), claiming)
    assert step == Step(Outcome.OUTDATED, HERE)


@pytest.mark.parametrize("seen", [-1, 13])
def test_a_failure_that_began_after_the_build_passed_counts_and_one_of_unknown_age(seen: int) -> None:
    assert rules.failed(view_of(PASSING), ME, RUN._replace(seen=seen)).outcome is Outcome.CLAIMED


def test_the_very_first_failure_of_a_build_counts() -> None:
    assert rules.failed(view_of(State(HERE)), ME, RUN._replace(seen=0)).outcome is Outcome.CLAIMED


@pytest.mark.parametrize("state", ["broken", "mine", "live", "stale"])
@pytest.mark.parametrize("claiming", [True, False])
def test_a_failure_of_another_check_touches_neither_claim_nor_breakage(state: str, claiming: bool) -> None:
    step = rules.failed(view_of(STATES[state]), ME, RUN._replace(check="ruff"), claiming)
    assert step == Step(Outcome.ANOTHER_CHECK, HERE)


def test_another_command_that_fails_alike_is_the_same_check() -> None:
    run = RUN._replace(check="pytest -x", failures=("test_b", "test_a"))
    after = only(rules.failed(view_of(STATES["mine"]), ME, run))
    assert (of(after).check, of(after).failures) == ("pytest", ("test_a", "test_b"))


def test_without_ids_the_same_check_fails_alike() -> None:
    assert rules.failed(view_of(STATES["mine"]), ME, RUN._replace(failures=())).outcome is Outcome.RENEWED


# Released, given up, reset


def test_a_release_says_what_it_leaves_behind() -> None:
    step = rules.release(view_of(STATES["mine"]), ME._replace(head=LATER), 5, False, "pushed", ("c1", "c2"))
    assert only(step) == PASSING._replace(changed=LAST_EVENT)
    (event,) = step.events
    assert (event.kind, event.agent, event.reason, event.commits) == (
        Kind.RELEASED,
        "me",
        "pushed",
        ("c1", "c2"),
    )
    assert (event.checkout, event.head, event.branch, event.attempts) == (HERE, LATER, MAIN, 2)


@pytest.mark.parametrize("gave_up", [False, True])
@pytest.mark.parametrize(("number", "refused"), [(5, False), (4, True), (6, True)])
def test_a_release_with_a_number_acts_only_on_that_claim(number: int, refused: bool, gave_up: bool) -> None:
    step = rules.release(view_of(STATES["mine"]), ME, number, gave_up, "")
    assert (step.outcome is Outcome.NOT_YOURS) is refused


def test_giving_up_keeps_the_breakage_and_every_reason() -> None:
    step = rules.release(view_of(STATES["mine"]), ME, None, True, "no idea")
    assert only(step) == breakage(BROKEN, reason="too hard; no idea")
    (event,) = step.events
    assert (event.kind, event.agent, event.reason, event.attempts) == (Kind.GAVE_UP, "me", "no idea", 2)


@pytest.mark.parametrize(
    ("before", "reason", "after"), [("", "no idea", "no idea"), ("too hard", "", "too hard"), ("", "", "")]
)
def test_reasons_are_joined_where_there_are_two(before: str, reason: str, after: str) -> None:
    state = breakage(STATES["mine"], reason=before)
    assert of(only(rules.release(view_of(state), ME, None, True, reason))).reason == after


def test_of_very_long_reasons_the_last_is_kept() -> None:
    kept = of(only(rules.release(view_of(STATES["mine"]), ME, None, True, "x" * 1990))).reason
    assert kept == "too hard; " + "x" * 1990
    kept = of(only(rules.release(view_of(STATES["mine"]), ME, None, True, "x" * 1999 + "!"))).reason
    assert kept == "x" * 1999 + "!"


def test_giving_up_takes_back_what_had_landed() -> None:
    landed = breakage(STATES["mine"], landed=LANDED)
    assert of(only(rules.release(view_of(landed), ME, None, True, ""))).landed is None


def test_what_was_given_up_can_be_claimed_at_once_even_by_the_same_agent() -> None:
    given_up = only(rules.release(view_of(STATES["mine"]), ME, None, True, ""))
    assert rules.failed(view_of(given_up), ME, RUN).outcome is Outcome.CLAIMED


@pytest.mark.parametrize(("evict", "kind"), [(False, Kind.RESET), (True, Kind.EVICTED)])
@pytest.mark.parametrize(("state", "other"), [("mine", None), ("live", "ann"), ("stale", "ann")])
def test_a_reset_names_who_did_it_and_whom_it_cost_the_role(
    state: str, other: str | None, evict: bool, kind: Kind
) -> None:
    (event,) = rules.reset(view_of(STATES[state]), "me", evict).events
    assert (event.kind, event.agent, event.other, event.attempts) == (kind, "me", other, 2)
    assert event.number == (5 if other is None else 8)


def test_an_eviction_ends_the_claim_and_nothing_else() -> None:
    landed = breakage(STATES["live"], landed=LANDED)
    assert only(rules.reset(view_of(landed), "me", True)) == breakage(BROKEN, landed=LANDED)._replace(number=8)


def test_numbers_go_on_growing_across_a_reset() -> None:
    after = only(rules.reset(view_of(STATES["live"]), "me"))
    again = only(rules.failed(view_of(after), ME, RUN._replace(seen=99)))
    assert (after.number, again.number) == (8, 9)


# Times


def test_times_of_the_future_are_taken_for_now() -> None:
    ahead = breakage(
        fixing(ANN._replace(claimed_at=NOW + 50, seen_at=NOW + 60)),
        since=NOW + 40,
        landed=LANDED._replace(at=NOW + 70),
    )
    assert rules.not_from_the_future(ahead, NOW) == breakage(
        fixing(ANN._replace(claimed_at=NOW, seen_at=NOW)), since=NOW, landed=LANDED._replace(at=NOW)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"since": NOW + 1},
        {"landed": LANDED._replace(at=NOW + 1)},
        {"claim": ANN._replace(seen_at=NOW + 1)},
        {"claim": ANN._replace(claimed_at=NOW + 1)},
    ],
)
def test_one_time_of_the_future_is_enough(changes: dict[str, object]) -> None:
    assert rules.not_from_the_future(breakage(BROKEN, **changes), NOW) is not None


@pytest.mark.parametrize("state", [*STATES, "landed"])
def test_times_that_have_been_stay(state: str) -> None:
    landed = breakage(STATES["live"], landed=LANDED._replace(at=NOW))
    assert rules.not_from_the_future({**STATES, "landed": landed}[state], NOW) is None


def test_a_breakage_of_the_future_lasted_no_time() -> None:
    (event,) = rules.reset(view_of(breakage(BROKEN, since=NOW + 50)), "me").events
    assert event.lasted == 0.0
