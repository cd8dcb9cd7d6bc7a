"""Somebody's half-done edit in a shared checkout: nobody is sent to mend it unasked."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from testing import breakage
from testing.pasting import following, pasted
from testing.support import Checkout


@pytest.fixture
def shared(checkout: Checkout) -> Checkout:
    """HEAD is known to pass, ann has a half-done edit in app.txt, and bob has edited README."""
    checkout.write("README", "old\n")
    checkout.ok("add", "README")
    checkout.ok("commit", "-qm", "readme", agent="ann")
    assert checkout.buildguard("run", agent="ann").status == 0
    checkout.write("app.txt", "BROKEN\n")
    checkout.write("README", "new\n")
    return checkout


def untouched(path: Path, minutes: float) -> None:
    """Let an edit be that old."""
    then = time.time() - minutes * 60
    os.utime(path, (then, then))


def state(checkout: Checkout) -> object:
    return breakage.status(checkout, "onlooker")["status"]


def test_a_commit_that_cannot_be_why_elects_nobody_and_names_the_edit(shared: Checkout) -> None:
    done = shared.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert done.status == 75, done
    assert re.search(
        r"not your commit: app\.txt is being edited here \([\d.]+ s ago\), and HEAD passes\n", done.err
    )
    assert "leave it alone" in done.err
    assert following(done) == "buildguard commit --agent bob -m x -- README"
    assert state(shared) == "passing"
    shared.write("app.txt", "whole again\n")
    assert pasted(shared, done).status == 0
    assert shared.ok("show", "--name-only", "--format=", "HEAD") == "README"


def test_a_plain_git_commit_is_told_the_same(shared: Checkout) -> None:
    shared.ok("add", "README")
    done = shared.git("commit", "-m", "x", agent="bob")
    assert done.status == 1
    assert "not your commit: app.txt is being edited here" in done.err
    assert following(done) == "buildguard commit --agent bob -m x"
    assert state(shared) == "passing"


def test_json_says_so_too(shared: Checkout) -> None:
    done = shared.buildguard("commit", "--json", "-m", "x", "--", "README", agent="bob")
    answer = json.loads(done.out)
    assert (done.status, answer["outcome"]) == (75, "not_your_commit")
    assert answer["next"] == "buildguard commit --agent bob --json -m x -- README"


def test_an_edit_that_nobody_has_touched_for_five_minutes_elects_and_warns(shared: Checkout) -> None:
    untouched(shared.path / "app.txt", minutes=6)
    done = shared.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert done.status == 1, done
    assert "app.txt may be somebody's work in progress: ask, do not revert" in done.err
    assert "claimed: you are the fixer" in done.err


def test_an_edit_that_is_dated_in_the_future_keeps_nobody_for_ever(shared: Checkout) -> None:
    untouched(shared.path / "app.txt", minutes=-60)
    done = shared.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert (done.status, "may be somebody's work in progress: ask" in done.err) == (1, True), done


def test_an_edit_of_four_minutes_ago_still_is_somebodys(shared: Checkout) -> None:
    untouched(shared.path / "app.txt", minutes=4)
    done = shared.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert (done.status, "(4 min ago)" in done.err) == (75, True)


def test_a_file_that_was_deleted_just_now_is_somebodys_too(shared: Checkout) -> None:
    shared.ok("restore", "app.txt")
    shared.write("README", "old\n")
    shared.write(".buildguard.toml", 'check = "test -e app.txt"\n')
    shared.ok("commit", "-qam", "another check", agent="ann")
    (shared.path / "app.txt").unlink()
    shared.write("README", "new\n")
    done = shared.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert (done.status, "not your commit: app.txt is being edited here" in done.err) == (75, True), done


def test_a_run_elects_at_once_for_its_edits_are_its_callers(shared: Checkout) -> None:
    done = shared.buildguard("run", agent="ann")
    assert (done.status, "claimed: you are the fixer" in done.out) == (1, True)


def test_a_live_claim_comes_first(shared: Checkout) -> None:
    shared.buildguard("run", agent="ann")
    done = shared.buildguard("commit", "--timeout", "0", "-m", "x", "--", "README", agent="bob")
    assert (done.status, "busy: ann is fixing" in done.err) == (75, True)


def test_a_commit_that_can_be_why_elects(shared: Checkout) -> None:
    shared.write("other.py", "code\n")
    shared.ok("add", "other.py")
    done = shared.buildguard("commit", "-m", "x", "--", "other.py", "app.txt", agent="bob")
    assert (done.status, "claimed: you are the fixer" in done.err) == (1, True)


def test_what_a_check_may_read_is_not_taken_for_prose(shared: Checkout) -> None:
    shared.write("requirements.txt", "broken==1\n")
    shared.ok("add", "requirements.txt")
    done = shared.buildguard("commit", "-m", "x", "--", "requirements.txt", agent="bob")
    assert (done.status, "claimed: you are the fixer" in done.err) == (1, True)


def test_without_a_pass_of_head_the_commit_itself_may_be_why(checkout: Checkout) -> None:
    checkout.write("README", "old\n")
    checkout.ok("add", "README")
    checkout.ok("commit", "-qm", "readme", "--no-verify")
    checkout.write("app.txt", "BROKEN\n")
    checkout.write("README", "new\n")
    done = checkout.buildguard("commit", "-m", "x", "--", "README", agent="bob")
    assert (done.status, "claimed: you are the fixer" in done.err) == (1, True)
