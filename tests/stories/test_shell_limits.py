"""What the shells of coding agents do with a long command, and how a wait or a check goes along with it."""

import pytest
from testing.support import BUILDGUARD, Checkout, Following

PATIENT = {"CODEX_THREAD_ID": "t", "CODEX_CI": "1"}
SPEAKING = {"GEMINI_CLI": "1"}


@pytest.mark.parametrize("environment", [PATIENT, SPEAKING, {"CRUSH": "1"}], ids=lambda one: next(iter(one)))
def test_a_wait_is_not_cut_short_by_a_shell_that_kills_no_waiting_command(
    checkout: Checkout, environment: dict[str, str]
) -> None:
    checkout.buildguard("claim", agent="ann")
    waiter = Following(checkout.start(BUILDGUARD, "wait", agent="bob", **environment))
    waiter.says("(up to 5 min more)")
    checkout.buildguard("release", agent="ann")
    assert waiter.ends().status == 0


def test_a_silent_check_says_that_it_runs_where_the_shell_kills_what_is_silent(checkout: Checkout) -> None:
    check = ("run", "--stale-after", "0.3s", "--", "sh", "-c", "until test -e over; do sleep 0.05; done")
    runner = Following(checkout.start(BUILDGUARD, *check, agent="ann", **SPEAKING))
    runner.says("still running: sh -c")
    checkout.write("over", "")
    assert runner.ends().status == 0


def test_a_silent_check_says_nothing_elsewhere(checkout: Checkout) -> None:
    check = ("run", "--stale-after", "0.3s", "--", "sleep", "1")
    assert "still running" not in checkout.buildguard(*check, agent="ann", **PATIENT).both
