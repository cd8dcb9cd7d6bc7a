"""A fix that was made in another checkout: how it is handed on, when it is there, and when nobody can have it."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.breakage import (
    RUN,
    assert_brought_in,
    bobs,
    broken_base,
    first_command,
    fix,
    history,
    later,
    repository,
    shared_breakage,
    status,
)
from testing.support import Checkout, Done, Following

SENT_FOR_TEN_MINUTES = 601


@pytest.fixture
def shared(tmp_path: Path) -> Checkout:
    return repository(tmp_path)


def dropped(shared: Checkout) -> None:
    fix(shared)
    shared.ok("reset", "-q", "--hard", "HEAD^")


def taken_back(shared: Checkout) -> None:
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    shared.write("app.txt", "BROKEN\n")


@pytest.mark.parametrize("happens", [dropped, taken_back])
def test_of_a_fix_that_no_commit_holds_nobody_is_told(
    shared: Checkout, happens: Callable[[Checkout], None]
) -> None:
    other = shared_breakage(shared)
    happens(shared)
    done = bobs(other)
    assert (done.status, "busy: alice is fixing" in done.both, "fixed" in done.both) == (75, True, False), done
    assert shared.buildguard("release", "--gave-up", agent="alice").status == 0
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done
    assert "broken again" not in other.buildguard("log").out, "his tree never had the fix"


def test_a_flaky_check_leaves_no_commit_to_wait_for(shared: Checkout) -> None:
    flaky = ("run", "--", "sh", "-c", "test -e ../calm && exit; sh check.sh")
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*flaky, agent="alice").status == 1
    assert other.buildguard(*flaky, agent="bob").status == 75
    (shared.path.parent / "calm").touch()
    assert "recovered: the repository passes again" in shared.buildguard(*flaky, agent="alice").out
    done = bobs(other)
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done


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
    assert old.buildguard("run", agent="bob").status == 0
    shared_breakage(shared)
    fix(shared)
    old.write("app.txt", "BROKEN by bob himself\n")
    done = old.git("commit", "-am", "bob", agent="bob")
    assert (done.status, status(old, "bob")["mine"]) == (1, True), done
    assert "passed: this checkout's changes fail" in done.both


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
    command = first_command(done.both)
    wait = ["buildguard", "run", "--wait", "5m", "--agent", "bob", *RUN[1:]]
    assert command == wait, "a bare wait would wait for alice"
    waiter = Following(other.start(*command, agent="bob"))
    waiter.says("waiting: carol is fixing")
    (other.path / "private-x.txt").unlink()
    (third.path / "private-x.txt").unlink()
    assert third.buildguard(*RUN, agent="carol").status == 0
    assert waiter.ends().status == 0, "alice goes on fixing, and that is nothing to him"


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
    assert shared.work_tree("third").buildguard(*WHOLE, agent="carol").status == 75


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
    assert (done.status, first_command(done.both)[:2]) == (75, ["buildguard", "cherry-pick"])


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
    assert "taken over from alice (its checkout is gone)" in done.both


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
    assert "you still hold claim 1 on " in done.both
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
    assert status(shared, "alice")["head"] == {
        "commit": shared.ok("rev-parse", "HEAD"),
        "passed": None,
        "by": None,
        "at": None,
    }


def test_a_clean_head_that_failed_is_known_to_have_failed(shared: Checkout) -> None:
    broken_base(shared)
    assert shared.buildguard("run", agent="alice").status == 1
    shared.write("alice.txt", "alice\n")
    head = shared.ok("rev-parse", "HEAD")[:7]
    assert f"buildguard: HEAD {head}: failed " in shared.buildguard("status", agent="bob").out


# Clones that share one database


def cloned(shared: Checkout) -> tuple[Checkout, Checkout]:
    """Two clones of one origin, which arrives broken; alice has claimed the fix in one, bob waits in the other."""
    shared.write("news.txt", "news\n")
    shared.ok("add", "-A")
    broken_base(shared)
    shared.ok("clone", "-q", "--bare", ".", "../origin.git")
    variables = {"BUILDGUARD_DB": str(shared.path.parent / "state.db")}
    places = [Checkout(shared.path.parent / name, shared.home, variables) for name in ("one", "two")]
    for place in places:
        shared.ok("clone", "-q", "../origin.git", str(place.path))
        hook = place.path / ".git" / "hooks" / "pre-commit"
        hook.write_bytes((shared.path / ".git" / "hooks" / "pre-commit").read_bytes())
        hook.chmod(0o755)
    one, two = places
    assert one.buildguard(*RUN, agent="alice").status == 1
    assert two.buildguard(*RUN, agent="bob").status == 75
    return one, two


@pytest.fixture
def clones(shared: Checkout) -> tuple[Checkout, Checkout]:
    """The same, and alice has committed the fix, not published yet."""
    one, two = cloned(shared)
    one.write("app.txt", "fine\n")
    one.ok("commit", "-q", "--no-verify", "-am", "fix")
    assert one.buildguard(*RUN, agent="alice").status == 0
    return one, two


def test_a_fix_in_another_clone_is_fetched_and_pulled(clones: tuple[Checkout, Checkout]) -> None:
    one, two = clones
    one.ok("push", "-q")
    done = bobs(two)
    assert (done.status, first_command(done.both)) == (75, ["git", "fetch", "origin"]), done
    assert two.run(*first_command(done.both)).status == 0
    done = bobs(two)
    assert (done.status, first_command(done.both)) == (75, ["git", "pull", "--ff-only"]), done
    assert two.run(*first_command(done.both)).status == 0
    assert bobs(two).status == 0


def his_own_commit(two: Checkout) -> None:
    two.write("bob.txt", "bob\n")
    two.ok("add", "-A")
    two.ok("commit", "-q", "--no-verify", "-m", "bob")


def his_own_edit(two: Checkout) -> None:
    two.write("news.txt", "edited\n")


@pytest.mark.parametrize("his", [his_own_commit, his_own_edit])
def test_where_git_cannot_fast_forward_the_fix_is_picked(
    clones: tuple[Checkout, Checkout], his: Callable[[Checkout], None]
) -> None:
    one, two = clones
    one.write("news.txt", "more news\n")
    one.ok("commit", "-qam", "news", "--no-verify")
    one.ok("push", "-q")
    his(two)
    two.ok("fetch", "-q")
    assert_brought_in(two, "origin/main~1")


def test_a_fix_in_another_clone_that_is_not_published_locks_nobody_out(clones: tuple[Checkout, Checkout]) -> None:
    _, two = clones
    done = bobs(two)
    assert (done.status, first_command(done.both)) == (75, ["git", "fetch", "origin"]), done
    for _ in range(3):
        assert two.ok("fetch", "-q", "origin") == ""
        done = bobs(two)
        assert (done.status, first_command(done.both)) == (75, ["sleep", "30"]), done
    later(two, SENT_FOR_TEN_MINUTES)
    done = bobs(two)
    assert (done.status, status(two, "bob")["mine"]) == (1, True), done


def test_a_fixer_for_whom_another_clone_waits_is_told_to_push(shared: Checkout) -> None:
    one, two = cloned(shared)
    one.write("app.txt", "fine\n")
    done = one.buildguard("commit", "-qam", "fix", agent="alice")
    assert (done.status, "push it: others wait for it in other clones" in done.out) == (0, True), done
    assert first_command(done.out) == ["git", "push"]
    assert one.run(*first_command(done.out)).status == 0
    assert two.run(*first_command(bobs(two).both)).status == 0
    assert two.run(*first_command(bobs(two).both)).status == 0
    assert bobs(two).status == 0


# Who was sent for a fix, and does not get it


def test_an_agent_is_sent_for_one_fix_twice_and_then_may_claim(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    assert [bobs(other).status for _ in range(3)] == [75, 75, 1]
    assert status(other, "bob")["mine"]
    assert [event["kind"] for event in history(shared)][-3:] == ["sent", "sent", "claimed"]


def test_an_agent_is_sent_for_one_fix_for_ten_minutes_and_then_may_claim(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    assert bobs(other).status == 75
    later(shared, SENT_FOR_TEN_MINUTES)
    assert (bobs(other).status, status(other, "bob")["mine"]) == (1, True)


def test_each_agent_is_sent_by_itself(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    assert [bobs(other).status for _ in range(2)] == [75, 75]
    assert other.buildguard(*RUN, agent="carol").status == 75


FAILING = ("run", "--", "sh", "-c", "echo 'FAILED tests/test_app.py::test_app - boom'; exit 1")


def by_ancestry(other: Checkout) -> None:
    other.ok("merge", "-q", "main")


def by_a_squash(other: Checkout) -> None:
    other.ok("merge", "-q", "--squash", "main")
    other.write("app.txt", "fine\n2\n3\n4\n5\n6\n7\n8\nnine\n")
    other.ok("commit", "-q", "--no-verify", "-am", "all of it, and more")


def by_the_same_contents(other: Checkout) -> None:
    other.write("app.txt", "fine\n2\n3\n4\n5\n6\n7\n8\n9\n")


@pytest.mark.parametrize("way", [by_ancestry, by_a_squash, by_the_same_contents])
def test_what_fails_with_the_fix_in_the_tree_is_a_new_breakage_with_its_history(
    shared: Checkout, way: Callable[[Checkout], None]
) -> None:
    shared.write("app.txt", "BROKEN\n2\n3\n4\n5\n6\n7\n8\n9\n")
    shared.ok("commit", "-q", "--no-verify", "-am", "arrives broken")
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    assert bobs(other).status == 75
    fix(shared, **{"app.txt": "fine\n2\n3\n4\n5\n6\n7\n8\n9\n"})
    way(other)
    done = other.buildguard(*FAILING, agent="bob")
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done
    assert "fixed by alice at " in done.both


# A fix that touches what somebody edits


LINES = [f"{number}\n" for number in range(1, 20)]
"""A changelog; the fix is an entry on top."""


@pytest.fixture
def noted(shared: Checkout) -> tuple[Checkout, str]:
    """Alice has fixed what bob has, too, and her commit has an entry in the changelog; bob's work tree and the
    fix."""
    shared.write("CHANGELOG", "".join(LINES))
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "-m", "changelog")
    other = shared_breakage(shared)
    fix(shared, CHANGELOG="".join(["alice\n", *LINES]))
    return other, shared.ok("rev-parse", "HEAD")[:12]


def edited(other: Checkout, lines: list[str], staged: bool) -> Done:
    """Bob edits the changelog, and something of his own that he commits."""
    other.write("CHANGELOG", "".join(lines))
    other.write("bob.txt", "bob\n")
    other.ok("add", "bob.txt", *(["CHANGELOG"] if staged else []))
    return other.buildguard("commit", "-m", "bob", "--", "bob.txt", agent="bob")


@pytest.mark.parametrize("staged", [False, True], ids=["loose", "staged"])
def test_a_fix_goes_in_beside_edits_in_other_lines(noted: tuple[Checkout, str], staged: bool) -> None:
    other, commit = noted
    done = edited(other, [*LINES, "bob\n"], staged)
    assert (done.status, first_command(done.both)[-1]) == (75, commit), done
    assert other.run(*first_command(done.both)).status == 0
    assert (other.path / "CHANGELOG").read_text() == "".join(["alice\n", *LINES, "bob\n"])
    assert other.ok("status", "--short", "CHANGELOG") == ("M  CHANGELOG" if staged else " M CHANGELOG")
    assert other.ok("show", "HEAD:CHANGELOG") == "".join(["alice\n", *LINES]).rstrip()
    assert other.buildguard("commit", "-qm", "bob", "--", "bob.txt", agent="bob").status == 0


@pytest.mark.parametrize("staged", [False, True], ids=["loose", "staged"])
def test_a_fix_that_edits_are_in_the_way_of_is_still_handed_on(noted: tuple[Checkout, str], staged: bool) -> None:
    other, commit = noted
    done = edited(other, [*LINES[:2], "bob\n", *LINES[2:]], staged)
    assert (done.status, first_command(done.both)[-1]) == (75, commit), done
    pick = other.run(*first_command(done.both))
    assert pick.status == 1
    assert f"not picked: CHANGELOG is edited here, where {commit} changes it, too; nothing was changed" in pick.out
    between = other.buildguard("status", agent="bob")
    assert "fixed elsewhere: alice fixed this at " in between.out
    assert first_command(between.out) == first_command(done.both)
    again = other.buildguard("commit", "-m", "bob", "--", "bob.txt", agent="bob")
    assert (again.status, first_command(again.both)) == (75, first_command(done.both)), again
    ran = other.run("sh", "-c", pick.out.splitlines()[-1].removeprefix("next: "))
    assert ran.status == 0, ran
    assert (other.path / "CHANGELOG").read_text() == "".join(["alice\n", *LINES[:2], "bob\n", *LINES[2:]])
    assert other.buildguard("commit", "-qm", "bob", "--", "bob.txt", agent="bob").status == 0
    assert [event["agent"] for event in history(other) if event["kind"] == "claimed"] == ["alice"]


def test_edits_of_the_very_lines_are_there_when_the_fix_is_in(noted: tuple[Checkout, str]) -> None:
    other, _ = noted
    done = edited(other, ["bob\n", *LINES], False)
    pick = other.run(*first_command(done.both))
    ran = other.run("sh", "-c", pick.out.splitlines()[-1].removeprefix("next: "))
    assert (ran.status, "CONFLICT" in ran.both) == (1, True), ran
    assert other.ok("show", "HEAD:app.txt") == "fine"
    assert {"alice", "bob"} <= set((other.path / "CHANGELOG").read_text().splitlines())
