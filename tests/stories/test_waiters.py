"""Who waits is known while it waits, and only then."""

import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from testing.support import BUILDGUARD, Checkout, Following, eventually


@pytest.fixture
def held(checkout: Checkout) -> Checkout:
    checkout.buildguard("claim", agent="ann")
    return checkout


@pytest.fixture
def bob(held: Checkout) -> Iterator[Following]:
    """Waits for ann, and is known to."""
    waiter = Following(held.start(BUILDGUARD, "wait", agent="bob"))
    eventually(lambda: bool(waiting(held)), "bob is known to wait")
    yield waiter
    waiter.process.kill()
    waiter.ends()


def waiting(checkout: Checkout) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(checkout.buildguard("status", "--json", agent="ann").out)["waiters"]
    return found


def told(checkout: Checkout, agent: str, *words: str) -> list[str]:
    """The lines about a wait, without its time of day."""
    lines = checkout.buildguard(*words, agent=agent).both.splitlines()
    return [re.sub(r" since \d\d:\d\d$", "", line) for line in lines if " wait" in line]


def test_the_status_and_the_fixer_s_own_lines_say_who_waits(held: Checkout, bob: Following) -> None:
    assert told(held, "ann", "status") == ["buildguard: 1 waits for you: bob"]
    assert told(held, "cat", "status")[0] == "buildguard: 1 waits for ann: bob"
    held.write("app.txt", "BROKEN\n")
    assert "buildguard: 1 waits for you: bob" in told(held, "ann", "run")
    (row,) = waiting(held)
    assert (row["agent"], row["fixer"]) == ("bob", "ann")


def test_nobody_is_said_to_wait_once_the_wait_is_over(held: Checkout, bob: Following) -> None:
    held.buildguard("release", agent="ann")
    assert bob.ends().status == 0
    held.buildguard("claim", agent="ann")
    assert told(held, "ann", "status") == []
    assert waiting(held) == []


def test_a_waiter_that_was_interrupted_is_said_to_wait_no_more(held: Checkout, bob: Following) -> None:
    bob.process.send_signal(signal.SIGINT)
    assert bob.ends().status == 130
    assert waiting(held) == []


def test_nobody_is_said_to_wait_for_a_fixer_for_whom_nobody_does(held: Checkout) -> None:
    assert told(held, "ann", "claim") == []
