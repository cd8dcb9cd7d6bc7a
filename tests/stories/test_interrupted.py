"""Ctrl-C at any moment: what waits says how to do it again, and a hook is never what one runs by hand."""

import os
import signal

import pytest
from testing.pasting import following, pasted
from testing.support import BUILDGUARD, Checkout, Done, Following


@pytest.fixture
def held(checkout: Checkout) -> Checkout:
    """Ann is the fixer of an edit of her own; bob has something else staged."""
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    return checkout


def interrupted(checkout: Checkout, *argv: str, agent: str | None = "bob", **more: str) -> Done:
    """Press Ctrl-C while it waits: the terminal tells all of the foreground at once."""
    waiter = Following(checkout.start("setsid", *argv, agent=agent, **more))
    waiter.says("waiting: ann")
    os.killpg(waiter.process.pid, signal.SIGINT)
    return waiter.ends()


def mended(checkout: Checkout) -> None:
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0


def test_a_waiting_commit_says_how_to_commit_again(held: Checkout) -> None:
    done = interrupted(held, BUILDGUARD, "commit", "-m", "mine")
    assert done.status == 130
    assert following(done) == "buildguard commit --agent bob -m mine"
    mended(held)
    assert pasted(held, done).status == 0
    assert held.ok("log", "-1", "--format=%s") == "mine"


def test_a_waiting_hook_says_how_to_commit_again(held: Checkout) -> None:
    done = interrupted(held, "git", "commit", "-m", "mine")
    assert done.status != 0
    assert following(done) == "buildguard commit --agent bob -m mine"
    mended(held)
    assert pasted(held, done).status == 0
    assert held.ok("log", "-1", "--format=%s") == "mine"


def test_a_commit_whose_message_came_on_stdin_offers_no_line_that_lacks_it(held: Checkout) -> None:
    waiter = Following(held.start("setsid", "sh", "-c", f"echo mine | '{BUILDGUARD}' commit -F -", agent="bob"))
    waiter.says("waiting: ann")
    os.killpg(waiter.process.pid, signal.SIGINT)
    assert "next: " not in waiter.ends().both


def test_a_waiting_run_repeats_all_its_options(held: Checkout) -> None:
    done = interrupted(held, BUILDGUARD, "run", "--wait", "60s", "--build", "default")
    assert (done.status, following(done)) == (130, "buildguard run --agent bob --wait 60s --build default")


def test_a_wait_repeats_who_called(held: Checkout) -> None:
    done = interrupted(held, BUILDGUARD, "wait", "--agent", "bob", agent=None)
    assert (done.status, following(done)) == (130, "buildguard wait --agent bob")
