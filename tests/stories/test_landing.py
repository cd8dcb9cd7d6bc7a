"""Fixed means committed: when a fix has landed, who notices it, and what is said until then. End to end."""

import json
import shlex
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from testing.breakage import RUN, broken_base, history, later, next_command, repository, shared_breakage, status
from testing.landing import MENDED, WAYS, last_fix, mended, past_the_hook, waits
from testing.support import BUILDGUARD, Checkout, Done, Following, Worker, new_repository


@pytest.fixture
def shared(tmp_path: Path) -> Checkout:
    return repository(tmp_path)


def some(ways: Sequence[Callable[[Checkout], None]], first: int) -> list[object]:
    """Every second way; the others are slow."""
    rest = (pytest.param(way, marks=pytest.mark.slow) for way in ways[1 - first :: 2])
    return [*ways[first::2], *rest]


def kinds(checkout: Checkout) -> list[object]:
    return [event["kind"] for event in history(checkout)]


@pytest.mark.parametrize("way", some(WAYS, 0))
def test_the_fixers_next_call_notices_that_it_has_landed(shared: Checkout, way: Callable[[Checkout], None]) -> None:
    mended(shared)
    way(shared)
    told = status(shared, "alice")
    assert (told["status"], told["fixer"]) == ("passing", None), told
    fix = last_fix(shared)
    assert (fix["agent"], fix["reason"]) == ("alice", None)
    assert fix["commits"] == [shared.ok("log", "-1", "--format=%H", "--no-merges", "--", "app.txt")]


@pytest.mark.parametrize("way", some(WAYS, 1))
def test_a_waiter_notices_that_it_has_landed(shared: Checkout, way: Callable[[Checkout], None]) -> None:
    bob = waits(mended(shared))
    way(shared)
    done = bob.ends()
    assert (done.status, done.out.splitlines()[0]) == (0, "buildguard: free: nobody else holds a claim here"), done
    assert last_fix(shared)["agent"] == "alice"


@pytest.mark.parametrize("words", [("-qam", "fix"), ("-qa", "--amend", "--no-edit")], ids=repr)
def test_buildguard_commit_says_that_it_is_fixed_when_git_has_returned(
    shared: Checkout, words: tuple[str, ...]
) -> None:
    other = mended(shared)
    done = shared.buildguard("commit", *words, agent="alice")
    assert (done.status, done.out) == (0, "buildguard: fixed: the repository, claim 1 is over\n"), done
    assert next_command(other.buildguard(*RUN, agent="bob").both)[:2] == ["buildguard", "cherry-pick"]


def test_a_failing_run_elsewhere_notices_it_without_a_wait(shared: Checkout) -> None:
    other = mended(shared)
    past_the_hook(shared)
    done = other.buildguard(*RUN, agent="bob")
    assert (done.status, "fixed elsewhere: alice fixed this" in done.both) == (75, True), done


def test_a_fixer_without_a_name_is_the_one_whose_pass_it_was(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    with Worker(shared) as alice:
        assert alice.run(BUILDGUARD, *RUN).status == 1
        assert other.buildguard(*RUN, agent="bob").status == 75
        shared.write("app.txt", MENDED)
        assert alice.run(BUILDGUARD, *RUN).status == 0
        shared.write("notes.txt", "loose\n")
        bob = Following(other.start(BUILDGUARD, "wait", agent="bob"))
        bob.says("waiting: ")
        past_the_hook(shared)
        assert bob.ends().status == 0
    assert kinds(shared)[-2:] == ["fixed", "waited"]


def test_a_neighbours_pass_does_not_hide_the_fixers(shared: Checkout) -> None:
    mended(shared)
    shared.write("carol.txt", "carol\n")
    assert shared.buildguard(*RUN, agent="carol").status == 0
    past_the_hook(shared)
    assert status(shared, "carol")["status"] == "passing"
    assert last_fix(shared)["agent"] == "alice"


def test_what_has_failed_again_since_it_passed_has_not_landed(shared: Checkout) -> None:
    mended(shared)
    shared.write("private-alice.txt", "BAD\n")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    shared.ok("add", "-A")
    past_the_hook(shared)
    told = status(shared, "alice")
    assert (told["status"], told["mine"]) == ("fixing", True)


def test_to_look_at_anothers_checkout_is_no_sign_of_its_life(shared: Checkout) -> None:
    def seen_at() -> float:
        with closing(sqlite3.connect(shared.path / ".git" / "buildguard" / "state.db")) as db:
            (found,) = db.execute(
                "SELECT json_extract(value, '$.breakage.claim.seen_at') FROM build_state"
            ).fetchone()
        return float(found)

    other = mended(shared)
    shared.ok("commit", "-q", "--no-verify", "--allow-empty", "-m", "of somebody else")
    before = seen_at()
    assert status(other, "bob")["status"] == "fixing"
    assert status(shared, "carol")["status"] == "fixing"
    assert seen_at() == before


def test_an_earlier_pass_lands_as_well_as_the_last_one(shared: Checkout) -> None:
    mended(shared)
    shared.write("notes.txt", "of no use to the check\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    past_the_hook(shared)
    assert status(shared, "alice")["status"] == "passing"


# Going back


def test_a_fix_by_going_back_has_nothing_to_hand_on(shared: Checkout) -> None:
    other = shared_breakage(shared)
    shared.ok("checkout", "-q", "main~1", "--", "app.txt")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    bob = waits(other)
    shared.ok("reset", "-q", "--hard", "main~1")
    assert bob.ends().status == 0
    fix = last_fix(shared)
    assert (fix["agent"], fix["commits"]) == ("alice", [])
    assert fix["reason"] == f"by going back to {shared.ok('rev-parse', 'HEAD')[:7]}"
    done = other.buildguard(*RUN, agent="bob")
    assert (done.status, status(other, "bob")["mine"]) == (1, True), done


def test_a_run_after_going_back_says_so(shared: Checkout) -> None:
    shared_breakage(shared)
    shared.ok("reset", "-q", "--hard", "main~1")
    done = shared.buildguard(*RUN, agent="alice")
    head = shared.ok("rev-parse", "HEAD")[:7]
    assert f"fixed: the repository, claim 1 is over (by going back to {head})" in done.out


# What was committed is not what was checked


def formats_after_us(shared: Checkout) -> None:
    hook = shared.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        f"#!/bin/sh\n{shlex.quote(BUILDGUARD)} hook || exit 1\necho formatted >> app.txt; git add app.txt\n"
    )


@pytest.mark.parametrize("program", ["git", BUILDGUARD])
def test_a_commit_that_a_formatter_changed_after_us_was_not_checked(shared: Checkout, program: str) -> None:
    other = mended(shared)
    formats_after_us(shared)
    bob = waits(other)
    done = shared.run(program, "commit", "-qam", "fix", agent="alice")
    if program == "git":
        done = shared.buildguard("status", agent="alice")
    head = shared.ok("rev-parse", "HEAD")[:7]
    assert (done.status, f"buildguard: {head} was not checked\n" in done.out) == (0, True), done
    assert "fixed" not in done.out
    assert next_command(done.out) == ["buildguard", "run", "--agent", "alice"]
    assert shared.run(*next_command(done.out)).status == 0
    assert last_fix(shared)["agent"] == "alice"
    assert bob.ends().status == 0


def test_a_message_hook_that_refuses_leaves_the_claim_as_it_is(shared: Checkout) -> None:
    other = mended(shared)
    hook = shared.path / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for program in ("git", BUILDGUARD):
        done = shared.run(program, "commit", "-am", "fix", agent="alice")
        assert done.status == 1
        assert "fixed" not in done.both
        assert "buildguard: committed" not in done.both
        told = status(shared, "alice")
        assert (told["status"], told["mine"]) == ("fixing", True)
        assert other.buildguard(*RUN, agent="bob").status == 75


# Some of it is committed


@pytest.fixture
def partly(shared: Checkout) -> Checkout:
    """Alice's fix has two files, of which one is committed; bob's work tree."""
    other = mended(shared, **{"helper.txt": "helps\n"})
    done = shared.buildguard("commit", "-qm", "fix", "--", "app.txt", agent="alice")
    assert done.status == 0
    line = "passes here, but the rest of what changed since it failed is not committed: helper.txt"
    assert f"buildguard: {line}; claim 1 is still yours\n" in done.out
    return other


def test_while_the_rest_is_loose_the_same_checkout_goes_on_and_others_wait(
    shared: Checkout, partly: Checkout
) -> None:
    assert shared.buildguard("wait", agent="carol").status == 0
    done = partly.buildguard("wait", "--timeout", "0.2s", agent="bob")
    assert done.status == 75
    commit = shared.ok("rev-parse", "HEAD")[:12]
    line = f"buildguard: fixed in part in {commit}, not committed yet: helper.txt\n"
    assert line in partly.buildguard(*RUN, agent="bob").both
    assert line in partly.buildguard("status", agent="bob").out
    told = status(partly, "bob")
    assert (told["status"], told["not_committed"]) == ("fixing", ["helper.txt"])


def test_the_same_checkout_goes_on_at_once(shared: Checkout) -> None:
    mended(shared, **{"helper.txt": "helps\n"})
    carol = waits(shared, "carol")
    shared.ok("commit", "-q", "--no-verify", "-m", "fix", "--", "app.txt")
    assert carol.ends().status == 0
    assert kinds(shared)[-2:] == ["landed", "waited"]


def the_rest_is_committed(shared: Checkout) -> None:
    line = next_command(shared.buildguard("status", agent="alice").out)
    assert shared.run("sh", "-c", shlex.join(line).replace("'&&'", "&&")).status == 0


def the_fixer_releases(shared: Checkout) -> None:
    assert shared.buildguard("release", agent="alice").status == 0


def two_minutes_pass(shared: Checkout) -> None:
    later(shared, 121)


@pytest.mark.parametrize(
    ("end", "kind", "reason"),
    [
        (the_rest_is_committed, "fixed", None),
        (the_fixer_releases, "released", None),
        (two_minutes_pass, "fixed", "not proved"),
    ],
)
def test_others_go_on_when(
    shared: Checkout, partly: Checkout, end: Callable[[Checkout], None], kind: str, reason: str | None
) -> None:
    bob = waits(partly)
    end(shared)
    assert bob.ends().status == 0
    ended = next(event for event in reversed(history(shared)) if event["kind"] == kind)
    assert (ended["agent"], ended["reason"]) == ("alice", reason)
    done = partly.buildguard(*RUN, agent="bob")
    assert next_command(done.both)[:2] == ["buildguard", "cherry-pick"]
    assert shared.ok("log", "-1", "--format=%H", "--", "app.txt")[:12] in next_command(done.both)


def test_what_is_fixed_without_proof_leaves_head_unchecked(shared: Checkout, partly: Checkout) -> None:
    two_minutes_pass(shared)
    assert partly.buildguard("status", agent="bob").status == 0
    assert shared.buildguard("status", "--exit-code", agent="alice").status == 4


# None of it is committed


CHECK = "test ! -e 'an old file.txt' && test -e 'a folder/new file.txt' && ! grep -q BROKEN app.txt"


@pytest.mark.parametrize("folder", [".", "a folder"])
def test_the_next_line_commits_just_what_made_it_pass(tmp_path: Path, folder: str) -> None:
    shared = new_repository(tmp_path / "repository", tmp_path / "home", "sh check.sh")
    shared.write("check.sh", CHECK)
    for name in ("an old file.txt", "a folder/other.txt", "README"):
        shared.write(name, "old\n")
    shared.write("app.txt", "BROKEN\n")
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "-m", "arrives broken")
    here = Checkout(shared.path / folder, shared.home)
    shared.write("README", "alice\n")
    assert shared.buildguard("commit", "-m", "note", "--", "README", agent="alice").status == 1
    (shared.path / "an old file.txt").unlink()
    shared.write("a folder/new file.txt", "new\n")
    shared.write("app.txt", MENDED)
    shared.write("carol.txt", "carol\n")
    shared.ok("add", "carol.txt")
    done = shared.buildguard("commit", "-qm", "note", "--", "README", agent="alice")
    assert done.status == 0
    told = here.buildguard("status", agent="alice")
    for line in (done.out, told.out):
        assert (
            "what changed since it failed is not committed: a folder/new file.txt, an old file.txt, app.txt" in line
        )
    assert status(shared, "alice")["mine"]
    # Carol's is as new as the fix: nobody can tell that it is none of it, but her.
    shared.ok("reset", "-q", "--", "carol.txt")
    ran = here.run("sh", "-c", told.out.splitlines()[-1].removeprefix("next: "))
    assert ran.status == 0, ran
    assert status(shared, "alice")["status"] == "passing"


# Which passes count


def test_a_pass_on_an_old_branch_ends_nothing(shared: Checkout) -> None:
    shared.ok("branch", "old")
    other = shared_breakage(shared)
    shared.ok("switch", "-q", "old")
    done = shared.buildguard(*RUN, agent="alice")
    assert (done.status, "this checkout has left the commit that fails" in done.out) == (0, True), done
    assert status(other, "bob")["fixer"] == "alice"
    shared.ok("switch", "-q", "main")
    assert "renewed: yours since" in shared.buildguard(*RUN, agent="alice").both


FLAKY = ("run", "--", "sh", "-c", "test -e ../calm")


def test_a_pass_on_the_very_files_that_failed_is_a_recovery(shared: Checkout) -> None:
    assert shared.buildguard(*FLAKY, agent="alice").status == 1
    shared.write("../calm", "")
    done = shared.buildguard(*FLAKY, agent="alice")
    assert "recovered: this checkout passes again on the very files that failed, claim 1 is over" in done.out
    assert kinds(shared) == ["claimed", "recovered"]


def test_of_a_claim_by_hand_a_pass_on_clean_files_is_the_end(shared: Checkout) -> None:
    assert shared.buildguard("claim", agent="alice").status == 0
    shared.write("app.txt", MENDED)
    assert "claim 1 is still yours" in shared.buildguard(*RUN, agent="alice").out
    shared.write("app.txt", "fine\n")
    assert "fixed: this checkout, claim 1 is over" in shared.buildguard(*RUN, agent="alice").out


def test_of_a_claim_by_hand_a_pass_after_a_commit_is_the_end(shared: Checkout) -> None:
    assert shared.buildguard("claim", agent="alice").status == 0
    shared.ok("commit", "-q", "--no-verify", "--allow-empty", "-m", "since the claim")
    shared.write("loose.txt", "of somebody else\n")
    assert "fixed: this checkout, claim 1 is over" in shared.buildguard(*RUN, agent="alice").out


def test_of_a_claim_by_hand_the_commit_of_what_passed_is_the_end(shared: Checkout) -> None:
    assert shared.buildguard("claim", agent="alice").status == 0
    shared.write("app.txt", MENDED)
    assert shared.buildguard(*RUN, agent="alice").status == 0
    past_the_hook(shared)
    assert status(shared, "bob")["status"] == "passing"


# A fix that nobody commits


def fails_at_a_note(checkout: Checkout, *commit: str) -> Done:
    """HEAD is bad. Alice's commit of a note fails, and she mends the code."""
    broken_base(checkout)
    checkout.write("README", "a note\n")
    checkout.ok("add", "README")
    failed = checkout.run(*commit, agent="alice")
    assert failed.status == 1, failed
    checkout.write("app.txt", MENDED)
    return failed


def assert_not_fixed(checkout: Checkout, passed: Done) -> None:
    assert (passed.status, "fixed:" in passed.both) == (0, False), passed
    told = status(checkout, "alice")
    assert (told["status"], told["mine"]) == ("fixing", True)
    assert checkout.ok("show", "HEAD:app.txt") == "BROKEN"
    assert checkout.buildguard("status", "--exit-code", agent="alice").status == 1


@pytest.mark.parametrize(
    "commit", [(BUILDGUARD, "commit", "-m", "note", "--", "README"), ("git", "commit", "-m", "note")]
)
def test_a_fix_that_nobody_commits_is_none(shared: Checkout, commit: tuple[str, ...]) -> None:
    failed = fails_at_a_note(shared, *commit)
    passed = shared.run("sh", "-c", failed.last.removeprefix("next: "))
    assert_not_fixed(shared, passed)
    assert shared.ok("log", "-1", "--format=%s") == "note"
    assert passed.out.splitlines()[-1].endswith(" -- app.txt"), passed
    assert shared.run("sh", "-c", passed.out.splitlines()[-1].removeprefix("next: ")).status == 0
    assert shared.buildguard("status", "--exit-code", agent="alice").status == 0


def test_a_fix_that_nobody_commits_wakes_nobody_in_another_work_tree(shared: Checkout) -> None:
    failed = fails_at_a_note(shared, BUILDGUARD, "commit", "-m", "note", "--", "README")
    other = shared.work_tree("other")
    assert other.buildguard(*RUN, agent="bob").status == 75
    bob = waits(other)
    passed = shared.run("sh", "-c", failed.last.removeprefix("next: "))
    assert_not_fixed(shared, passed)
    assert bob.process.poll() is None
    assert shared.run("sh", "-c", passed.out.splitlines()[-1].removeprefix("next: ")).status == 0
    assert bob.ends().status == 0


def test_json_says_what_is_not_committed_of_a_fix(shared: Checkout) -> None:
    fails_at_a_note(shared, BUILDGUARD, "commit", "-m", "note", "--", "README")
    done = shared.buildguard("commit", "--json", "-qm", "note", "--", "README", agent="alice")
    told = json.loads(done.out)
    assert (told["outcome"], told["landed"], told["fixed"]) == ("committed", "not_committed", False)
    assert (told["status"], told["next"].endswith(" -- app.txt")) == ("fixing", True)


@pytest.mark.parametrize("how", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_git_was_told_to_overlook_ends_nothing(shared: Checkout, how: str) -> None:
    broken_base(shared)
    assert shared.buildguard(*RUN, agent="alice").status == 1
    shared.ok("update-index", how, "app.txt")
    shared.write("app.txt", "good\n")
    done = shared.buildguard("commit", "-qm", "nothing in it", "--allow-empty", agent="alice")
    assert (done.status, "recovered" in done.out, "fixed" in done.out) == (0, False, False), done
    assert status(shared, "bob")["status"] == "fixing"
    assert shared.buildguard("status", "--exit-code", agent="bob").status == 1


def test_what_nobody_can_see_in_the_files_is_never_released_by_the_next_line(shared: Checkout) -> None:
    broken_base(shared)
    assert shared.buildguard(*RUN, agent="alice").status == 1
    shared.ok("update-index", "--assume-unchanged", "app.txt")
    shared.write("app.txt", "good\n")
    done = shared.buildguard(*RUN, agent="alice")
    assert "passes here, and nothing of it is committed yet; claim 1 is still yours\n" in done.out
    assert "commit what makes it pass; if that is nothing: buildguard release --agent alice\n" in done.out
    assert done.last == "next: git status"
