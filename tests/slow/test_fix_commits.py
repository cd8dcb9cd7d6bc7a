"""Which commit a fix has become, and which commits are none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from testing.breakage import (
    RUN,
    assert_brought_in,
    bobs,
    fix,
    history,
    repository,
    shared_breakage,
    status,
)
from testing.support import Checkout


@pytest.fixture
def shared(tmp_path: Path) -> Checkout:
    return repository(tmp_path)


def on_a_branch(shared: Checkout) -> Checkout:
    """Alice goes on on a branch of her own; the work tree of `main`."""
    shared.ok("switch", "-qc", "topic")
    trunk = Checkout(shared.path.parent / "trunk", shared.home)
    shared.ok("worktree", "add", "-q", str(trunk.path), "main")
    trunk.write("news.txt", "of somebody else\n")
    trunk.ok("add", "-A")
    trunk.ok("commit", "-q", "--no-verify", "-m", "news")
    return trunk


def rebased(shared: Checkout) -> str:
    on_a_branch(shared)
    fix(shared, **{"alice.txt": "alice\n"})
    shared.ok("rebase", "-q", "main")
    return "topic"


def amended(shared: Checkout) -> str:
    fix(shared)
    shared.write("alice.txt", "alice\n")
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "--amend", "-m", "fix, and more")
    return "main"


def dropped_after_a_squash(shared: Checkout) -> None:
    """Its commit is of no branch any more, but still here."""
    trunk = on_a_branch(shared)
    fix(shared)
    assert shared.buildguard("status", agent="alice").status == 0
    trunk.ok("merge", "-q", "--squash", "topic")
    trunk.ok("commit", "-q", "--no-verify", "-m", "all of topic")
    shared.ok("switch", "-q", "--detach")
    shared.ok("reset", "-q", "--hard", "HEAD^")
    shared.ok("branch", "-q", "-D", "topic")


def detached(shared: Checkout) -> str:
    shared.ok("switch", "-q", "--detach")
    fix(shared)
    return shared.ok("rev-parse", "HEAD")


def committed_past_the_hook(shared: Checkout) -> str:
    shared.write("app.txt", "fine\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "fix")
    done = shared.buildguard(*RUN, agent="alice")
    assert (done.status, "fixed: the repository, claim 1 is over" in done.both) == (0, True), done
    return "main"


def committed_after_a_run_and_other_work(shared: Checkout) -> str:
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    shared.write("alice.txt", "alice\n")
    shared.ok("add", "alice.txt")
    shared.ok("commit", "-q", "--no-verify", "-m", "first something else", "--", "alice.txt")
    shared.ok("commit", "-q", "--no-verify", "-m", "fix", "--", "app.txt")
    return "main"


def released_by_word(shared: Checkout) -> str:
    shared.write("app.txt", "fine\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "fix")
    assert shared.buildguard("release", agent="alice").status == 0
    return "main"


@pytest.mark.parametrize(
    "happens",
    [
        rebased,
        amended,
        dropped_after_a_squash,
        detached,
        committed_past_the_hook,
        committed_after_a_run_and_other_work,
        released_by_word,
    ],
)
def test_a_fix_is_found_whatever_became_of_its_commit(
    shared: Checkout, happens: Callable[[Checkout], str | None]
) -> None:
    other = shared_breakage(shared)
    assert_brought_in(other, happens(shared))
    assert [event["agent"] for event in history(shared) if event["kind"] == "claimed"] == ["alice"]


def test_anothers_commit_that_passes_with_the_fixers_edits_is_not_the_fix(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.write("app.txt", "fine\n")
    shared.write("carol.txt", "carol\n")
    shared.ok("add", "carol.txt")
    shared.ok("commit", "-q", "-m", "carol", "--", "carol.txt", agent="carol")
    assert (status(shared, "alice")["mine"], bobs(other).status) == (True, 75)
    shared.ok("commit", "-q", "-m", "fix", "--", "app.txt", agent="alice")
    assert_brought_in(other, "main")


NEW_FILE = "test -f helper.txt || { echo 'FAILED tests/test_app.py::test_app'; exit 1; }"


@pytest.mark.parametrize("staged", [False, True])
def test_a_fix_that_is_a_new_file_is_the_fixers_until_it_is_committed(shared: Checkout, staged: bool) -> None:
    shared.write("check.sh", NEW_FILE)
    shared.ok("commit", "-qam", "needs a helper", "--no-verify")
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    assert bobs(other).status == 75
    for name in ("helper.txt", "carol.txt"):
        shared.write(name, "new\n")
    shared.ok("add", "carol.txt", *(["helper.txt"] if staged else []))
    shared.ok("commit", "-q", "-m", "carol", "--", "carol.txt", agent="carol")
    assert (status(shared, "alice")["mine"], bobs(other).status) == (True, 75)
    shared.ok("add", "helper.txt")
    shared.ok("commit", "-q", "-m", "fix", "--", "helper.txt", agent="alice")
    assert_brought_in(other, "main")


def test_a_pass_that_changed_nothing_does_not_hide_the_fix_before_it(shared: Checkout) -> None:
    other = shared_breakage(shared)
    third, fourth = shared.work_tree("third"), shared.work_tree("fourth")
    fix(shared)
    flaky = (
        "run",
        "--",
        "sh",
        "-c",
        "test -f ../calm && exit 0; echo 'FAILED tests/test_app.py::test_app'; exit 1",
    )
    for place in (third, fourth):
        place.ok("merge", "-q", "main")
    assert third.buildguard(*flaky, agent="dave").status == 1
    assert fourth.buildguard(*flaky, agent="erin").status == 75
    (shared.path.parent / "calm").touch()
    assert "recovered: " in third.buildguard(*flaky, agent="dave").out
    assert_brought_in(other, "main")
