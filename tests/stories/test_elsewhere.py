"""A fix that was made in another checkout: which commit it has become, if any, and when it is none for this one."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.breakage import (
    RUN,
    broken_base,
    fix,
    history,
    later,
    next_command,
    repository,
    shared_breakage,
    status,
)
from testing.support import Checkout, Done, Following

from buildguard.commands.elsewhere import UNCOMMITTED


@pytest.fixture
def shared(tmp_path: Path) -> Checkout:
    return repository(tmp_path)


def bobs(other: Checkout) -> Done:
    """What bob hears in a tree without the fix."""
    return other.buildguard(*RUN, agent="bob")


def assert_brought_in(other: Checkout, name: str) -> None:
    """Bob is sent for just that commit, brings it in with the command that he is given, and passes."""
    done = bobs(other)
    assert done.status == 75, done
    command = next_command(done.both)
    assert command == ["buildguard", "cherry-pick", other.ok("rev-parse", name)[:12]]
    assert other.run(*command, agent="bob").status == 0
    assert bobs(other).status == 0


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


def squashed(shared: Checkout) -> str:
    trunk = on_a_branch(shared)
    fix(shared)
    trunk.ok("merge", "-q", "--squash", "topic")
    trunk.ok("commit", "-q", "--no-verify", "-m", "all of topic")
    shared.ok("switch", "-q", "--detach")
    shared.ok("reset", "-q", "--hard", "HEAD^")
    shared.ok("branch", "-q", "-D", "topic")
    return "main"


def detached(shared: Checkout) -> str:
    shared.ok("switch", "-q", "--detach")
    fix(shared)
    return shared.ok("rev-parse", "HEAD")


def committed_past_the_hook(shared: Checkout) -> str:
    shared.write("app.txt", "fine\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "fix")
    done = shared.buildguard(*RUN, agent="alice")
    assert (done.status, "commit it now" in done.both) == (0, False), "there is nothing left to commit"
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
        squashed,
        detached,
        committed_past_the_hook,
        committed_after_a_run_and_other_work,
        released_by_word,
    ],
)
def test_a_fix_is_found_whatever_became_of_its_commit(shared: Checkout, happens: Callable[[Checkout], str]) -> None:
    other = shared_breakage(shared)
    assert_brought_in(other, happens(shared))
    assert [event["agent"] for event in history(shared) if event["kind"] == "claimed"] == ["alice"]


def dropped(shared: Checkout) -> None:
    fix(shared)
    shared.ok("reset", "-q", "--hard", "HEAD^")


def put_away(shared: Checkout) -> None:
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    shared.ok("stash")


def taken_back(shared: Checkout) -> None:
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    shared.write("app.txt", "BROKEN\n")


@pytest.mark.parametrize("happens", [dropped, put_away, taken_back])
def test_a_fix_that_no_commit_holds_does_not_mislead(shared: Checkout, happens: Callable[[Checkout], None]) -> None:
    other = shared_breakage(shared)
    happens(shared)
    later(shared, UNCOMMITTED)
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done
    assert "no commit holds that fix: it does not count" in done.err
    assert "broken again" not in other.buildguard("log").out, "his tree never had the fix"


def test_a_flaky_check_leaves_no_commit_to_wait_for(shared: Checkout) -> None:
    flaky = ("run", "--", "sh", "-c", "echo x >> ../runs; test $(wc -l < ../runs) -gt 2 && exit; sh check.sh")
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*flaky, agent="alice").status == 1
    assert other.buildguard(*flaky, agent="bob").status == 75
    assert shared.buildguard(*flaky, agent="alice").status == 0
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done
    assert "no commit holds that fix: it does not count" in done.err
    assert "still to come" not in done.err


def test_a_fix_that_is_not_committed_yet_is_waited_for(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.write("app.txt", "fine\n")
    passed = shared.buildguard(*RUN, agent="alice")
    assert "others wait for the commit of this fix: commit it now" in passed.out
    later(shared, 60.0)
    other.write("bob.txt", "bob\n")
    other.ok("add", "bob.txt")
    bob = Following(other.start("buildguard", "commit", "-m", "bob", "--", "bob.txt", agent="bob"))
    bob.says("elsewhere; its commit is still to come")
    other.write("carol.txt", "carol\n")
    other.ok("add", "carol.txt", agent="carol")
    shared.ok("commit", "-q", "-am", "fix", agent="alice")
    done = bob.ends()
    assert done.status == 75, done
    assert "has not committed it yet" in done.err
    assert next_command(done.out) == ["buildguard", "cherry-pick", shared.ok("rev-parse", "main")[:12]]
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
    assert not (other.path / "carol.txt").exists()


NEW_FILE = ("run", "--", "sh", "-c", "test -f helper.txt || { echo 'FAILED tests/test_app.py::test_app'; exit 1; }")


@pytest.mark.parametrize("staged", [False, True])
def test_a_fix_that_is_a_new_file_is_the_fixers_until_it_is_committed(shared: Checkout, staged: bool) -> None:
    shared.write("check.sh", NEW_FILE[-1])
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


def test_what_nobody_has_added_is_not_kept_by_git(shared: Checkout) -> None:
    shared_breakage(shared)
    shared.write(".env", "a secret\n")
    shared.write("app.txt", "fine\n")
    shared.write("carol.txt", "carol\n")
    shared.ok("add", "carol.txt")
    shared.ok("commit", "-q", "-m", "carol", "--", "carol.txt", agent="carol")
    assert status(shared, "alice")["mine"]
    secret = shared.ok("hash-object", ".env")
    assert shared.git("cat-file", "-e", secret).status != 0


def test_where_it_cannot_be_told_what_is_uncommitted_the_claim_stays(shared: Checkout) -> None:
    shared_breakage(shared)
    shared.ok("init", "-q", "nested")
    shared.write("app.txt", "fine\n")
    shared.write("carol.txt", "carol\n")
    shared.ok("add", "carol.txt")
    shared.ok("commit", "-q", "-m", "carol", "--", "carol.txt", agent="carol")
    assert status(shared, "alice")["mine"]


def test_a_new_file_that_a_run_passed_with_is_waited_for(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*NEW_FILE, agent="alice").status == 1
    assert other.buildguard(*NEW_FILE, agent="bob").status == 75
    shared.write("helper.txt", "new\n")
    assert shared.buildguard(*NEW_FILE, agent="alice").status == 0
    later(shared, 60.0)
    done = other.buildguard(*NEW_FILE, agent="bob")
    assert (done.status, "has not committed it yet" in done.both) == (75, True), done


def test_a_fixer_that_only_repeats_its_commit_has_not_committed_its_fix(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    shared.write("alice.txt", "alice\n")
    shared.ok("add", "alice.txt")
    failed = shared.buildguard("commit", "-m", "alice", "--", "alice.txt", agent="alice")
    assert bobs(other).status == 75
    shared.write("app.txt", "fine\n")
    done = shared.run(*next_command(failed.both), agent="alice")
    assert (done.status, "others wait for the commit of this fix: commit it now" in done.both) == (0, True), done
    later(shared, 60.0)
    done = bobs(other)
    assert (done.status, "but has not committed it yet" in done.both) == (75, True), done
    shared.ok("commit", "-q", "-m", "fix", "--", "app.txt", agent="alice")
    assert_brought_in(other, "main")
    assert not (other.path / "alice.txt").exists()


def test_another_breakage_does_not_end_the_wait_for_a_fix_that_is_not_committed_yet(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    for name in ("third", "fourth"):
        place = shared.work_tree(name)
        place.write("app.txt", "fine\n")
        place.write("private-x.txt", "BAD\n")
        place.buildguard(*RUN, agent=name)
    assert status(shared, "third")["scope"] == "repo"
    later(shared, 60.0)
    done = bobs(other)
    assert (done.status, "but has not committed it yet" in done.both) == (75, True), done


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
    done = third.buildguard(*flaky, agent="dave")
    assert (done.status, "commit it now" in done.both) == (0, False)
    assert_brought_in(other, "main")


def test_a_fix_that_a_merge_would_find_here_sends_nobody_in_a_circle(shared: Checkout) -> None:
    shared.write("app.txt", "BROKEN\n2\n3\n4\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "arrives broken")
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    assert bobs(other).status == 75
    fix(shared, **{"app.txt": "fine\n2\n3\n4\n"})
    other.ok("merge", "-q", "--squash", "main")
    other.write("app.txt", "fine\n2\nthree\n4\n")
    other.ok("commit", "-q", "--no-verify", "-am", "all of it, and more")
    failing = ("run", "--", "sh", "-c", "echo 'FAILED tests/test_app.py::test_app - boom'; exit 1")
    done = other.buildguard(*failing, agent="bob")
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done


def test_who_is_sent_by_a_run_is_sent_by_the_commit_too(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    other.write("app.txt", "BROKEN\nand bob's\n")
    other.write("bob.txt", "bob\n")
    other.ok("add", "bob.txt")
    assert bobs(other).status == 75
    done = other.git("commit", "-m", "bob", agent="bob")
    assert "fixed elsewhere: alice fixed this" in done.err, done
    assert not status(other, "bob")["mine"]


def test_a_run_without_a_wait_is_told_how_to_wait_for_the_commit(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    later(shared, 60.0)
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (75, False)
    assert next_command(done.both) == ["buildguard", "run", "--wait", "5m", *RUN[1:]]


def test_a_fix_that_is_broken_again_before_it_was_committed_is_not_waited_for(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    shared.write("app.txt", "BROKEN\n")
    assert shared.buildguard("run", "--scope", "repo", *RUN[1:], agent="alice").status == 1
    done = bobs(other)
    assert (done.status, "busy: alice is fixing" in done.both) == (75, True), done


def test_what_passes_on_another_branch_while_nobody_is_fixing_is_no_fix_to_bring_in(shared: Checkout) -> None:
    old = shared.work_tree("old")
    other = shared_breakage(shared)
    assert shared.buildguard("release", "--gave-up", agent="alice").status == 0
    old.write("carol.txt", "carol\n")
    old.ok("add", "-A")
    old.ok("commit", "-q", "-m", "carol", agent="carol")
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done
    assert "carol" not in done.both


def test_a_failure_of_ones_own_change_is_not_sent_for_an_old_fix(shared: Checkout) -> None:
    old = shared.work_tree("old")
    old.write(".buildguard.toml", 'check = "sleep 0.3; sh check.sh"\n')
    old.ok("commit", "-qam", "a check that gives git time to say that all is clean", agent="bob")
    assert old.buildguard("run", agent="bob").status == 0
    shared_breakage(shared)
    fix(shared)
    old.write("app.txt", "BROKEN by bob himself\n")
    done = old.git("commit", "-am", "bob", agent="bob")
    assert (done.status, status(old, "bob")["mine"]) == (1, True), done
    assert "the breakage is in this checkout's changes" in done.both


def test_a_fix_that_was_made_again_by_hand_and_not_staged_is_there(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    other.write("app.txt", "fine\n")
    other.write("tests/test_app.py", "raise SystemExit\n")
    failing = ("run", "--", "sh", "-c", "echo 'FAILED tests/test_app.py::test_app - boom'; exit 1")
    done = other.buildguard(*failing, agent="bob")
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done


def test_whoever_shares_two_breakages_waits_for_the_right_one(shared: Checkout) -> None:
    other = shared_breakage(shared)
    third = shared.work_tree("third")
    third.write("app.txt", "fine\n")
    for place in (third, other):
        place.write("private-x.txt", "BAD\n")
    assert third.buildguard(*RUN, agent="carol").status == 1
    done = bobs(other)
    assert done.status == 75
    for line in (
        "being fixed by carol: tests/test_own.py::test_private-x.txt",
        "being fixed by alice: tests/test_app.py::test_app",
    ):
        assert f"buildguard: {line}\n" in done.both
    assert "nobody else fixes them" not in done.both
    other.write("app.txt", "fine\n")
    done = bobs(other)
    assert (done.status, "busy: carol is fixing" in done.both) == (75, True), done
    command = next_command(done.both)
    assert command == ["buildguard", "run", "--wait", "5m", *RUN[1:]], "a bare wait would wait for alice"
    waiter = Following(other.start(*command, agent="bob"))
    waiter.says("waiting: carol is fixing")
    third.write("private-x.txt", "good\n")
    assert third.buildguard(*RUN, agent="carol").status == 0
    other.write("private-x.txt", "good\n")
    assert waiter.ends().status in (0, 75), "alice goes on fixing, and that is nothing to him"


def test_whoever_is_sent_for_a_fix_is_told_what_is_its_own(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    other.write("private-bob.txt", "BAD\n")
    done = bobs(other)
    assert done.status == 75
    (line,) = [line for line in done.both.splitlines() if "your own" in line]
    assert "test_own.py::test_private-bob.txt" in line
    assert "test_app" not in line


# A check without failure ids: the whole check is what failed


WHOLE = ("run", "--", "sh", "-c", "! grep -q BROKEN app.txt")
ANOTHER = ("run", "--", "sh", "-c", "! grep -q BROKEN app.txt  # another check")


def test_two_checks_without_ids_have_nothing_in_common(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*WHOLE, agent="alice").status == 1
    assert other.buildguard(*ANOTHER, agent="bob").status == 1
    assert other.buildguard("status", "--exit-code", agent="bob").status == 1
    assert [one.buildguard(*WHOLE, agent="carol").status for one in (shared.work_tree("third"),)] == [75]


def test_the_fix_of_another_check_without_ids_is_no_fix_of_this_one(shared: Checkout) -> None:
    broken_base(shared)
    other, third = shared.work_tree("other"), shared.work_tree("third")
    assert shared.buildguard(*WHOLE, agent="alice").status == 1
    assert other.buildguard(*WHOLE, agent="bob").status == 75
    shared.write("app.txt", "fine\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "fix")
    assert shared.buildguard(*WHOLE, agent="alice").status == 0
    assert third.buildguard(*ANOTHER, agent="carol").status == 1
    done = other.buildguard(*WHOLE, agent="bob")
    assert (done.status, next_command(done.both)[:2]) == (75, ["buildguard", "cherry-pick"])


@pytest.mark.parametrize("check", [RUN, WHOLE], ids=["with ids", "the check as a whole"])
def test_what_is_broken_again_has_its_old_history(shared: Checkout, check: tuple[str, ...]) -> None:
    for agent, text, expected in (("alice", "BROKEN\n", 1), ("alice", "fine\n", 0), ("bob", "BROKEN\n", 1)):
        shared.write("app.txt", text)
        done = shared.buildguard(*check, agent=agent)
        assert done.status == expected
    told = [line for line in done.both.splitlines() if "broken again at" in line]
    assert len(told) == 1
    assert told[0].startswith("buildguard: fixed by alice at ")
    opened = [event for event in history(shared) if event["kind"] == "claimed"]
    assert [(event["other"], event["fixed_before_at"] is None) for event in opened] == [
        (None, True),
        ("alice", False),
    ]


def test_a_private_failure_that_somebody_else_had_and_fixed_is_not_broken_again(shared: Checkout) -> None:
    other = shared.work_tree("other")
    for place, agent, text in (
        (shared, "alice", "BROKEN\n"),
        (shared, "alice", "fine\n"),
        (other, "bob", "BROKEN\n"),
    ):
        place.write("app.txt", text)
        place.buildguard(*RUN, agent=agent)
    assert status(other, "bob")["mine"]
    assert "broken again" not in shared.buildguard("log").out


def test_a_work_tree_that_is_made_anew_does_not_wait_for_its_namesake(shared: Checkout) -> None:
    old = shared.work_tree("other")
    old.write("app.txt", "BROKEN\n")
    assert old.buildguard(*RUN, agent="alice").status == 1
    shared.ok("worktree", "remove", "--force", str(old.path))
    shared.ok("branch", "-D", "other")
    new = shared.work_tree("other")
    new.write("app.txt", "BROKEN by bob\n")
    done = new.buildguard(*RUN, agent="bob")
    assert (done.status, status(new, "bob")["mine"]) == (1, True), done
    assert "taken over from alice (its process has ended, or its work tree is gone)" in done.both


# A check in a folder


def test_the_configured_check_runs_at_the_top_whoever_calls_from_wherever(shared: Checkout) -> None:
    shared.write("sub/file.txt", "x\n")
    below = Checkout(shared.path / "sub", shared.home)
    shared.write("app.txt", "BROKEN\n")
    assert below.buildguard("run", agent="alice").status == 1
    shared.write("app.txt", "fine\n")
    assert shared.buildguard("run", agent="alice").status == 0
    assert status(shared, "alice")["status"] == "passing"


def test_the_same_words_in_another_folder_are_another_check(shared: Checkout) -> None:
    check = ("run", "--", "sh", "-c", "if grep -q BROKEN a.txt; then echo 'FAILED test_a.py::test_a'; exit 1; fi")
    for folder in ("back", "front"):
        shared.write(f"{folder}/a.txt", "BROKEN\n")
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "-m", "two folders")
    other = shared.work_tree("other")
    back, front = (Checkout(place.path / name, shared.home) for place, name in ((shared, "back"), (other, "front")))
    assert back.buildguard(*check, agent="alice").status == 1
    assert status(shared, "alice")["failures"] == ["back/test_a.py::test_a"]
    assert front.buildguard(*check, agent="bob").status == 1, "its failure has the same name, in another folder"
    shared.write("front/a.txt", "fine\n")
    done = Checkout(shared.path / "front", shared.home).buildguard(*check, agent="alice")
    assert done.status == 0
    assert "you still hold claim 1 on this checkout: it ends when cd back/ && sh -c" in done.both
    assert status(shared, "alice")["status"] == "fixing"


# Evidence


def test_an_edit_made_while_the_check_ran_proves_nothing_of_head(shared: Checkout) -> None:
    gate = shared.path.parent / "gate"
    os.mkfifo(gate)
    slow = f"echo began; cat {shlex.quote(str(gate))}; sh check.sh"
    run = Following(shared.start("buildguard", "run", "--", "sh", "-c", slow, agent="alice"))
    run.says("began")
    shared.write("app.txt", "BROKEN\n")
    gate.write_text("go\n")
    assert run.ends().status == 1
    assert shared.buildguard("release", "--gave-up", agent="alice").status == 0
    gate.unlink()
    gate.write_text("")
    done = shared.buildguard("run", "--", "sh", "-c", slow, agent="alice")
    assert done.status == 1
    assert "failed this check" not in done.both, "HEAD itself never failed"


def test_a_clean_head_that_failed_is_known_to_have_failed(shared: Checkout) -> None:
    broken_base(shared)
    assert shared.buildguard(*RUN, agent="alice").status == 1
    shared.write("alice.txt", "alice\n")
    assert shared.buildguard("release", "--gave-up", agent="alice").status == 0
    done = shared.buildguard(*RUN, agent="alice")
    assert done.status == 1
    assert "failed this check at " in done.both


# Clones that share one database


@pytest.fixture
def clones(shared: Checkout) -> tuple[Checkout, Checkout]:
    """Two clones of one origin, which arrives broken; alice is at its fix in one, bob busy in the other."""
    broken_base(shared)
    shared.ok("clone", "-q", "--bare", ".", "../origin.git")
    places = []
    for name in ("one", "two"):
        shared.ok("clone", "-q", "../origin.git", f"../{name}")
        variables = {"BUILDGUARD_DB": str(shared.path.parent / "state.db")}
        places.append(Checkout(shared.path.parent / name, shared.home, variables))
    one, two = places
    assert one.buildguard(*RUN, agent="alice").status == 1
    assert two.buildguard(*RUN, agent="bob").status == 75
    one.write("app.txt", "fine\n")
    one.ok("commit", "-q", "--no-verify", "-am", "fix")
    assert one.buildguard(*RUN, agent="alice").status == 0
    return one, two


def test_a_fix_in_another_clone_is_fetched_and_brought_in(clones: tuple[Checkout, Checkout]) -> None:
    one, two = clones
    two.write("bob.txt", "bob\n")
    two.ok("add", "-A")
    two.ok("commit", "-q", "--no-verify", "-m", "the first commit on a branch of the same name")
    one.ok("push", "-q")
    done = bobs(two)
    assert (done.status, next_command(done.both)) == (75, ["git", "fetch", "--all"])
    assert two.run(*next_command(done.both)).status == 0
    assert_brought_in(two, "origin/main")


def test_a_fix_in_another_clone_that_is_not_published_locks_nobody_out(clones: tuple[Checkout, Checkout]) -> None:
    _, two = clones
    assert next_command(bobs(two).both) == ["git", "fetch", "--all"]
    done = bobs(two)
    assert (done.status, status(two, "bob")["mine"]) == (1, True)
    assert "cannot be fetched from there yet: it does not count" in done.err
