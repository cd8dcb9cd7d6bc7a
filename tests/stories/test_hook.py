"""The hook under real git: who fixes, who waits where, and that no other commit gets through than was checked."""

import json
import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from testing.pasting import pasted
from testing.support import BUILDGUARD, PROJECT, Checkout, Following, Worker, eventually, lives, new_repository

GATED = "touch ../started; while [ -e ../hold ]; do sleep 0.02; done; ! grep -q BROKEN app.txt"


@pytest.fixture
def gated(tmp_path: Path) -> Checkout:
    """A repository whose check waits while a file named hold stands beside it."""
    return new_repository(tmp_path / "repository", tmp_path / "home", GATED)


def broken(checkout: Checkout, name: str = "app.txt") -> None:
    """Stage a change that breaks the build."""
    checkout.write("app.txt", "BROKEN\n")
    checkout.write(name, "BROKEN\n")
    checkout.ok("add", name)


def standing(checkout: Checkout, agent: str = "onlooker") -> dict[str, object]:
    """The status, as `--json` gives it."""
    found: dict[str, object] = json.loads(checkout.buildguard("status", "--json", agent=agent).out)
    return found


def hold(checkout: Checkout) -> Path:
    """Close the gate of the check."""
    (checkout.path.parent / "started").unlink(missing_ok=True)
    gate = checkout.path.parent / "hold"
    gate.touch()
    return gate


def running(checkout: Checkout) -> None:
    """Return when the check runs."""
    eventually((checkout.path.parent / "started").exists, "the check runs")


def commits(checkout: Checkout) -> list[str]:
    """The subjects on this branch, newest first."""
    return checkout.ok("log", "--format=%s").splitlines()


def test_a_passing_check_lets_the_commit_through(checkout: Checkout) -> None:
    checkout.write("new.txt", "new\n")
    checkout.ok("add", "new.txt")
    assert checkout.git("commit", "-m", "second", agent="ann").status == 0
    assert commits(checkout) == ["second", "first"]


def test_the_first_failure_claims_and_says_what_to_do(checkout: Checkout) -> None:
    broken(checkout)
    done = checkout.git("commit", "-m", "it's broken", agent="ann")
    assert done.status == 1
    assert "buildguard: failed: ! grep -q BROKEN app.txt (exit status 1" in done.err
    assert "claimed: you are the fixer of build default, this checkout, claim 1, as ann\n" in done.err
    assert "give up with: buildguard release --gave-up --reason ... --agent ann\n" in done.err
    assert done.last == "next: buildguard commit --agent ann -m " + shlex.quote("it's broken")
    assert (standing(checkout)["status"], standing(checkout)["fixer"]) == ("fixing", "ann")


def test_the_next_command_of_the_fixer_commits_the_fix(checkout: Checkout) -> None:
    broken(checkout)
    refused = checkout.git("commit", "-m", "two\n\nlines", agent="ann")
    checkout.write("app.txt", "fine again\n")
    checkout.ok("add", "app.txt")
    assert pasted(checkout, refused).status == 0
    assert checkout.ok("log", "-1", "--format=%B") == "two\n\nlines"
    assert standing(checkout)["status"] == "passing"


def test_a_second_failure_of_the_fixer_renews_and_counts(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    again = checkout.git("commit", "-m", "x", agent="ann")
    assert again.status == 1
    assert re.search(r"renewed: yours since \d\d:\d\d, claim 1, attempt 2\n", again.err)
    assert standing(checkout)["claim"] == 1


def test_another_agent_is_busy(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    done = checkout.git("commit", "-m", "x", agent="bob", BUILDGUARD_WAIT="0")
    assert done.status == 1, "git flattens whatever the hook says"
    assert "busy: ann is fixing since" in done.err
    assert "you are bob\n" in done.err
    assert done.last == "next: buildguard commit --agent bob -m x"


def test_the_hook_tells_75_through_the_verdict_file(checkout: Checkout, tmp_path: Path) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    path = tmp_path / "verdict"
    checkout.git("commit", "-m", "x", agent="bob", BUILDGUARD_VERDICT_FILE=str(path))
    told = json.loads(path.read_text().splitlines()[-1])
    assert (told["exit"], told["outcome"]) == (75, "busy")


def test_two_agents_with_nothing_configured_are_two(checkout: Checkout) -> None:
    broken(checkout)
    with Worker(checkout, BUILDGUARD_WAIT="0") as one, Worker(checkout, BUILDGUARD_WAIT="0") as two:
        assert "claimed: you are the fixer" in one.run("git", "commit", "-m", "x").err
        assert "busy: " in two.run("git", "commit", "-m", "x").err
        assert "attempt 2" in one.run("git", "commit", "-m", "x").err


def test_a_fixer_that_crashed_is_taken_over_at_once(checkout: Checkout) -> None:
    broken(checkout)
    with Worker(checkout) as one, Worker(checkout) as two:
        one.run("git", "commit", "-m", "x")
        one.process.kill()
        one.process.wait()
        done = two.run("git", "commit", "-m", "x")
        assert "taken over from" in done.err
        assert "(its process has ended): you are the fixer" in done.err
        assert "this checkout, claim 2" in done.err


def test_a_silent_fixer_is_taken_over_and_told_so(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann", BUILDGUARD_STALE_AFTER="0.3s")
    eventually(lambda: standing(checkout)["stale"] is True, "the claim is stale")
    assert "taken over from ann (silent for too long)" in checkout.git("commit", "-m", "x", agent="bob").err
    told = checkout.git("commit", "-m", "x", agent="ann", BUILDGUARD_WAIT="0")
    assert "your claim was taken over by bob: look at their fix before you push yours" in told.err


@pytest.fixture
def listing(tmp_path: Path) -> Checkout:
    """A repository whose check prints what stands in fails.txt and fails if there is anything."""
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", "cat fails.txt; test ! -s fails.txt")
    checkout.write("fails.txt", "")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-qm", "base", BUILDGUARD="0")
    return checkout


def test_in_two_work_trees_nobody_waits_for_the_other(listing: Checkout) -> None:
    other = listing.work_tree("other")
    for place, name in ((listing, "a"), (other, "b")):
        place.write("fails.txt", f"FAILED test_{name}.py::test_{name} - assert 0\n")
        place.ok("add", "-A")
    assert "claimed: " in listing.git("commit", "-m", "x", agent="ann").err
    done = other.git("commit", "-m", "x", agent="bob")
    assert "claimed: you are the fixer of build default, this checkout" in done.err
    assert (standing(listing)["fixer"], standing(other)["fixer"]) == ("ann", "bob")


def test_two_work_trees_with_the_same_failure_share_it(listing: Checkout) -> None:
    other = listing.work_tree("other")
    for place in (listing, other):
        place.write("fails.txt", "FAILED test_a.py::test_a - assert 0\n")
        place.ok("add", "-A")
    listing.git("commit", "-m", "x", agent="ann")
    done = other.git("commit", "-m", "x", agent="bob", BUILDGUARD_WAIT="0")
    assert "busy: ann is fixing" in done.err
    assert "test_a.py::test_a fails for ann too" in done.err


def test_a_check_that_makes_a_repository_leaves_the_real_one_alone(tmp_path: Path) -> None:
    script = (
        'd=$(mktemp -d) && cd "$d" && git init -q && echo 1 > f && git add f && git commit -qm inner && rm -r "$d"'
    )
    main = new_repository(tmp_path / "repository", tmp_path / "home", f"sh -c '{script}'")
    tree = main.work_tree("linked")
    tree.write("new.txt", "new\n")
    tree.ok("add", "new.txt")
    done = tree.git("commit", "-m", "mine", agent="ann")
    assert done.status == 0, done
    assert commits(tree) == ["mine", "first"]
    assert tree.ok("show", "--name-only", "--format=", "HEAD") == "new.txt"
    assert main.ok("config", "core.bare") == "false"
    assert main.ok("branch", "--format=%(refname:short)").splitlines() == ["linked", "main"]
    assert (main.ok("status", "--short"), tree.ok("status", "--short")) == ("", "")


STASHES = (
    ("PRE_COMMIT_HOME", "patch1700000000-$$", "pre-commit"),
    ("PREK_HOME", "patches/1700000000-$$.patch", "prek"),
)
KINDS = (
    ("commit", "-m", "x"),
    ("commit", "-am", "x"),
    ("commit", "-m", "x", "--", "app.txt"),
    ("commit", "--amend", "-m", "x"),
)


@pytest.mark.parametrize("words", KINDS, ids=" ".join)
def test_every_kind_of_commit_is_guarded(checkout: Checkout, words: tuple[str, ...]) -> None:
    broken(checkout)
    before = (checkout.ok("rev-parse", "HEAD"), checkout.ok("status", "--short"))
    assert checkout.git(*words, agent="ann").status == 1
    assert (checkout.ok("rev-parse", "HEAD"), checkout.ok("status", "--short")) == before
    checkout.write("app.txt", "fine too\n")
    checkout.ok("add", "app.txt")
    assert checkout.git(*words, agent="ann").status == 0
    assert checkout.ok("show", "HEAD:app.txt") == "fine too"
    assert standing(checkout)["status"] == "passing"


def test_the_next_command_repeats_every_kind_of_commit(checkout: Checkout) -> None:
    broken(checkout)
    told = [checkout.git(*words, agent="ann").last for words in KINDS]
    assert told == [f"next: buildguard commit --agent ann {shlex.join(words[1:])}" for words in KINDS]


def test_a_commit_waits_in_the_hook_and_goes_on_when_it_is_woken(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    waiter = Following(checkout.start("git", "commit", "-m", "mine", agent="bob"))
    waiter.says("waiting: ann is fixing since")
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0
    done = waiter.ends()
    assert done.status == 0, done
    assert "ann fixed it" in done.err
    assert commits(checkout)[0] == "mine"


def test_a_waiter_whose_head_moved_is_told_to_commit_again(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    waiter = Following(checkout.start("git", "commit", "-m", "mine", "--", "mine.txt", agent="bob"))
    waiter.says("not waiting in the hook: this commit holds the index lock")
    assert waiter.ends().status == 1
    waiter = Following(checkout.start("git", "commit", "-m", "mine", agent="bob"))
    waiter.says("waiting: ann")
    checkout.write("app.txt", "fixed\n")
    assert checkout.git("commit", "-m", "fix", "--", "app.txt", agent="ann").status == 0
    done = waiter.ends()
    assert done.status == 1
    assert "refused: HEAD moved" in done.err
    assert done.last == "next: buildguard commit --agent bob -m mine"
    assert pasted(checkout, done).status == 0
    assert commits(checkout)[:2] == ["mine", "fix"]


def test_an_amend_whose_head_moved_is_never_told_to_repeat(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    waiter = Following(checkout.start("git", "commit", "--amend", "-m", "mine", agent="bob"))
    waiter.says("waiting: ann")
    checkout.write("app.txt", "fixed\n")
    assert checkout.git("commit", "-m", "fix", "--", "app.txt", agent="ann").status == 0
    done = waiter.ends()
    assert done.status == 1
    assert "your amend would now rewrite another commit" in done.err
    assert done.last == "next: git log --oneline -3"


def test_a_wait_that_runs_out_says_so_once(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    done = checkout.git("commit", "-m", "x", agent="bob", BUILDGUARD_WAIT="0.3s")
    assert done.status == 1
    assert "the wait of 0.3 s ran out" in done.err
    assert done.last == "next: buildguard commit --agent bob -m x"
    assert done.err.count("buildguard: failed:") == 1


def test_a_short_agent_shell_is_not_waited_in(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    done = checkout.git("commit", "-m", "x", agent="bob", CLAUDECODE="1", BASH_DEFAULT_TIMEOUT_MS="9000")
    assert done.status == 1
    assert "not waiting in the hook: Claude Code" in done.err
    assert "waiting: ann" not in done.err


def test_in_a_longer_agent_shell_it_waits_only_as_long_as_that_lasts(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    waiter = Following(checkout.start("git", "commit", "--allow-empty", "-m", "x", agent="bob", CLAUDECODE="1"))
    waiter.says("claim 1; you are bob (up to 2 min more)")
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0
    assert waiter.ends().status == 0


@pytest.mark.parametrize(("variable", "patch", "runner"), STASHES, ids=[row[2] for row in STASHES])
def test_under_a_runner_that_hides_the_fixers_edits_it_does_not_wait(
    checkout: Checkout, tmp_path: Path, variable: str, patch: str, runner: str
) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    folder = tmp_path / "cache"
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        f"#!/bin/sh\nmkdir -p '{folder}/patches'\ntouch '{folder}'/{patch}\n'{BUILDGUARD}' hook\nexit $?\n"
    )
    done = checkout.git("commit", "--allow-empty", "-m", "x", agent="bob", **{variable: str(folder)})
    assert done.status == 1
    assert f"not waiting in the hook: {runner} hides unstaged edits while hooks run" in done.err
    assert "waiting: ann" not in done.err
    hook.write_text(hook.read_text().replace("$$", "999999999"))
    (folder / "patches").rename(tmp_path / "old")
    for left in folder.iterdir():
        left.unlink()
    done = checkout.git(
        "commit", "--allow-empty", "-m", "x", agent="bob", BUILDGUARD_WAIT="0.1s", **{variable: str(folder)}
    )
    assert "waiting: ann" in done.err, "another process's patch hides nothing of this commit"


def test_a_hook_that_may_not_wait_at_all_says_so(checkout: Checkout) -> None:
    broken(checkout)
    checkout.git("commit", "-m", "x", agent="ann")
    done = checkout.git("commit", "-m", "x", agent="bob", BUILDGUARD_WAIT="0")
    assert "not waiting in the hook: waiting in the hook is off" in done.err


def test_what_another_staged_during_the_hook_is_not_committed(gated: Checkout) -> None:
    gated.write("mine.txt", "mine\n")
    gated.ok("add", "mine.txt")
    gate = hold(gated)
    commit = gated.start("git", "commit", "-qm", "mine", agent="ann")
    running(gated)
    gated.write("theirs.txt", "theirs\n")
    gated.ok("add", "theirs.txt")
    gate.unlink()
    done = Following(commit).ends()
    assert done.status == 1
    assert "refused: what was staged changed while the check ran: theirs.txt\n" in done.err
    assert done.last == "next: git commit -q -m mine -- mine.txt"
    again = pasted(gated, done)
    assert again.status == 0, again
    assert gated.ok("show", "--name-only", "--format=", "HEAD") == "mine.txt"
    assert gated.ok("status", "--short") == "A  theirs.txt"


def test_the_retry_from_a_folder_below_names_the_same_paths(gated: Checkout) -> None:
    below = Checkout(gated.write("sub/mine.txt", "mine\n").parent, gated.home)
    gated.ok("add", "sub/mine.txt")
    gate = hold(gated)
    commit = below.start("git", "commit", "-qm", "mine", agent="ann")
    running(gated)
    gated.write("theirs.txt", "theirs\n")
    gated.ok("add", "theirs.txt")
    gate.unlink()
    done = Following(commit).ends()
    assert done.status == 1
    again = pasted(below, done)
    assert again.status == 0, again
    assert gated.ok("show", "--name-only", "--format=", "HEAD") == "sub/mine.txt"


def test_an_index_that_holds_the_same_may_be_written_anew_during_the_hook(gated: Checkout) -> None:
    gated.write("mine.txt", "mine\n")
    gated.ok("add", "mine.txt")
    gate = hold(gated)
    commit = gated.start("git", "commit", "-qm", "mine", agent="ann")
    running(gated)
    before = (gated.path / ".git" / "index").read_bytes()
    gated.ok("update-index", "--force-write-index", "--index-version", "4")
    assert (gated.path / ".git" / "index").read_bytes() != before
    gate.unlink()
    assert Following(commit).ends().status == 0


def test_a_branch_switched_during_the_hook_is_refused(gated: Checkout) -> None:
    gated.write("mine.txt", "mine\n")
    gated.ok("add", "mine.txt")
    gate = hold(gated)
    commit = gated.start("git", "commit", "-qm", "mine", agent="ann")
    running(gated)
    gated.ok("switch", "-qc", "elsewhere")
    gate.unlink()
    done = Following(commit).ends()
    assert done.status == 1
    assert "HEAD moved main → elsewhere" in done.err
    assert commits(gated) == ["first"]


def test_a_deleted_index_lock_makes_no_empty_commit(gated: Checkout) -> None:
    gated.write("app.txt", "changed\n")
    gate = hold(gated)
    commit = gated.start("git", "commit", "-qam", "mine", agent="ann")
    running(gated)
    (gated.path / ".git" / "index.lock").unlink()
    gate.unlink()
    done = Following(commit).ends()
    assert done.status == 1
    assert "refused: the index of this commit was deleted; git would commit a tree without files" in done.err
    assert commits(gated) == ["first"]
    assert gated.ok("status", "--short") == " M app.txt"
    assert done.last == "next: buildguard commit --agent ann -qam mine"
    assert pasted(gated, done).status == 0


def test_a_killed_git_leaves_no_claim_and_no_check(gated: Checkout) -> None:
    gated.write("app.txt", "BROKEN\n")
    (gated.path / ".buildguard.toml").write_text('check = "echo $$ > ../pid; touch ../started; sleep 300; false"\n')
    gated.ok("add", "-A")
    hold(gated)
    commit = gated.start("git", "commit", "-qm", "mine", agent="ann")
    running(gated)
    check = int((gated.path.parent / "pid").read_text())
    os.kill(commit.pid, signal.SIGKILL)
    Following(commit).ends()
    eventually(lambda: not lives(check), "the check has ended")
    assert standing(gated)["status"] == "passing"


@pytest.mark.parametrize(("name", "value"), [("BUILDGUARD", "0"), ("SKIP", "other,buildguard")])
def test_the_hook_can_be_switched_off(checkout: Checkout, name: str, value: str) -> None:
    broken(checkout)
    done = checkout.git("commit", "-m", "x", agent="ann", **{name: value})
    assert done.status == 0
    assert "buildguard: off (" in done.err


def test_no_check_is_an_error_that_says_what_to_do(checkout: Checkout) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    done = checkout.buildguard("hook", agent="ann")
    assert done.status == 2
    assert "error: no check: give it after --, in BUILDGUARD_CHECK, or as check" in done.err
    assert done.last == "next: buildguard install --help"
    assert checkout.git("commit", "-m", "x", "--allow-empty", agent="ann", BUILDGUARD_CHECK="true").status == 0


def test_a_check_that_does_not_exist_elects_nobody(checkout: Checkout) -> None:
    done = checkout.buildguard("hook", "--", "no-such-check", agent="ann")
    assert done.status == 4
    assert "inconclusive: the check could not run (command not found: no-such-check)" in done.err
    assert standing(checkout)["status"] == "passing"


def test_what_the_settings_call_inconclusive_is(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "exit 9"\ninconclusive-exit-codes = [9]\n')
    done = checkout.buildguard("hook", agent="ann")
    assert (done.status, standing(checkout)["status"]) == (4, "passing")
    assert "(exit status 9)" in done.err


def test_a_check_that_takes_too_long_is_ended_and_proves_nothing(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "echo $$ > ../pid; sleep 300"\ncheck-timeout = "0.5s"\n')
    done = checkout.buildguard("hook", agent="ann")
    assert (done.status, standing(checkout)["status"]) == (4, "passing")
    assert "timed out after 0.5 s" in done.err
    assert not lives(int((checkout.path.parent / "pid").read_text()))


def test_an_inconclusive_hook_says_how_to_repeat_the_commit(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "exit 127"\n')
    done = checkout.git("commit", "--allow-empty", "-m", "x", agent="ann")
    assert (done.status, done.last) == (1, "next: buildguard commit --agent ann --allow-empty -m x")


def test_the_hooks_folder_serves_as_hooks_path(checkout: Checkout) -> None:
    (checkout.path / ".git" / "hooks" / "pre-commit").unlink()
    checkout.ok("config", "core.hooksPath", str(PROJECT / "hooks"))
    broken(checkout)
    done = checkout.git("commit", "-m", "x", agent="ann")
    assert done.status == 1
    assert "claimed: you are the fixer" in done.err


def test_a_hook_that_cannot_find_buildguard_lets_nothing_through(checkout: Checkout) -> None:
    folder = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "buildguard").exists()
    )
    done = checkout.git("commit", "--allow-empty", "-m", "x", agent="ann", PATH=folder)
    assert done.status == 1
    assert "the command buildguard is not on PATH" in done.err
    assert checkout.git("commit", "--allow-empty", "-m", "x", PATH=folder, BUILDGUARD="0").status == 0


def test_one_agent_that_runs_five_hooks_is_one_agent(checkout: Checkout) -> None:
    broken(checkout)
    with Worker(checkout, BUILDGUARD_WAIT="0") as one:
        script = "for i in 1 2 3 4 5; do git commit -m x; done; exit 0"
        said = one.run("sh", "-c", script).err
        assert (said.count("claimed: "), said.count("renewed: "), said.count("busy: ")) == (1, 4, 0)


def test_a_claim_does_not_die_with_the_wrapper_around_git(checkout: Checkout) -> None:
    broken(checkout)
    with Worker(checkout, BUILDGUARD_WAIT="0") as one, Worker(checkout, BUILDGUARD_WAIT="0") as two:
        assert "claimed: " in one.run("timeout", "60", "git", "commit", "-m", "x").err
        assert "busy: " in two.run("git", "commit", "-m", "x").err
        assert "renewed: " in one.run("nice", "git", "commit", "-m", "x").err


def test_a_fix_in_the_hook_is_never_slipped_into_the_commit(checkout: Checkout) -> None:
    broken(checkout)
    done = checkout.git("commit", "-m", "x", agent="ann", BUILDGUARD_FIX="echo fixed > app.txt")
    assert done.status == 1
    assert "it passes here: stage what was changed, and commit again" in done.err
    assert checkout.ok("status", "--short") == "MM app.txt"
    assert standing(checkout)["status"] == "fixing", "nothing of it is committed yet"
    assert commits(checkout) == ["first"]
    checkout.ok("add", "app.txt")
    assert checkout.buildguard("commit", "-m", "x", agent="ann").status == 0
    assert standing(checkout)["status"] == "passing"


def test_the_hook_outside_a_repository_still_gives_the_verdict(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    folder.mkdir()
    nowhere = Checkout(folder, checkout.home, {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    good, bad = (nowhere.buildguard("hook", "--", word, agent="ann") for word in ("true", "false"))
    assert (good.status, bad.status) == (0, 1)
    assert "coordination is unavailable: not a git repository" in good.err


def test_a_hook_with_a_build_of_its_own_says_how_to_give_up_that_one(checkout: Checkout) -> None:
    broken(checkout)
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {shlex.quote(BUILDGUARD)} hook --build lint\n")
    done = checkout.git("commit", "-m", "x", agent="ann")
    assert "give up with: buildguard release --gave-up --reason ... --build lint --agent ann" in done.err
