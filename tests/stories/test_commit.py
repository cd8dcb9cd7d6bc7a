"""`buildguard commit`: waits outside git, commits again, and is git commit in everything else."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.support import BUILDGUARD, Checkout, Done, Following, Worker, ended, eventually, lives, new_repository


def claimed_by_ann(checkout: Checkout) -> None:
    """Break the build in the work tree, and let ann be the one who fixes it."""
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1


def staged_by_bob(checkout: Checkout, name: str = "mine.txt") -> None:
    """Stage something that has nothing to do with the breakage."""
    checkout.write(name, "mine\n")
    checkout.ok("add", name)


def committing(checkout: Checkout, *words: str, **more: str) -> Following:
    """Start bob's commit, and return when it waits outside git."""
    commit = Following(checkout.start(BUILDGUARD, "commit", *words, agent="bob", **more))
    commit.says("waiting: ann is fixing since")
    return commit


def fixed_by_ann(checkout: Checkout) -> None:
    """End the breakage without a commit: go back to what is committed."""
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0


def test_it_gets_through_after_the_fix(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine", "--", "mine.txt")
    checkout.write("app.txt", "fixed\n")
    fix = checkout.buildguard("commit", "-m", "fix", "--", "app.txt", agent="ann")
    assert fix.status == 0, fix
    done = commit.ends()
    assert done.status == 0, done
    assert "buildguard: committing again\n" in done.err
    assert checkout.ok("log", "--format=%s").splitlines() == ["mine", "fix", "first"]
    assert checkout.ok("status", "--short") == ""


def test_two_agents_with_nothing_configured_both_commit(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    staged_by_bob(checkout)
    with Worker(checkout) as one, Worker(checkout) as two:
        assert one.run(BUILDGUARD, "commit", "-m", "x", "--", "app.txt").status == 1
        said = checkout.path.parent / "said"
        two.start(
            "sh", "-c", f"exec {shlex.quote(BUILDGUARD)} commit -m mine -- mine.txt 2> {shlex.quote(str(said))}"
        )
        eventually(lambda: said.exists() and "waiting: " in said.read_text(), "it waits outside git")
        checkout.write("app.txt", "fixed\n")
        assert one.run(BUILDGUARD, "commit", "-m", "fix", "--", "app.txt").status == 0
        assert two.process.stdout is not None
        done = Done(*json.loads(two.process.stdout.readline()))
        assert done.status == 0, done
    assert checkout.ok("log", "--format=%s").splitlines() == ["mine", "fix", "first"]


def test_while_it_waits_it_holds_no_lock(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-am", "mine")
    assert not (checkout.path / ".git" / "index.lock").exists()
    commit.process.terminate()
    commit.ends()


def test_time_that_runs_out_is_75_with_the_command_that_repeats_it(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    done = checkout.buildguard("commit", "--timeout", "0.2s", "-m", "it's mine", agent="bob")
    assert done.status == 75
    assert "busy: the wait ran out, nothing was committed: ann is fixing since" in done.out
    assert done.out.endswith("next: buildguard commit --agent bob --timeout 0.2s -m 'it'\"'\"'s mine'\n")


def test_its_own_failure_is_1_with_the_command_that_repeats_it(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.buildguard("commit", "-am", "x", agent="ann")
    assert done.status == 1
    assert "claimed: you are the fixer" in done.err
    assert done.both.count("next: buildguard commit --agent ann -am x\n") == 1


AWKWARD = (
    (("-m", "two\n\n  lines"), "two\n\n  lines"),
    (("-m", 'it\'s "quoted" $HOME `x` *'), 'it\'s "quoted" $HOME `x` *'),
    (("--message=--json",), "--json"),
    (("-m", "--timeout"), "--timeout"),
    (("--", "-m", "after dashes"), "after dashes"),
    (("-qm", "-h"), "-h"),
    (("-m", "first", "-m", "second"), "first\n\nsecond"),
)


def test_the_arguments_are_untouched(checkout: Checkout) -> None:
    for words, message in AWKWARD:
        done = checkout.buildguard("commit", "--agent", "ann", *words, "--allow-empty")
        assert done.status == 0, done
        assert checkout.ok("log", "-1", "--format=%B") == message


def test_a_pathspec_after_dashes_stays_one(checkout: Checkout) -> None:
    for name in ("one.txt", "two.txt"):
        staged_by_bob(checkout, name)
    assert checkout.buildguard("commit", "-m", "x", "--", "one.txt", agent="ann").status == 0
    assert checkout.ok("status", "--short") == "A  two.txt"


def test_the_editor_has_the_message(checkout: Checkout) -> None:
    editor = checkout.path.parent / "editor"
    editor.write_text('#!/bin/sh\necho "from the editor" > "$1"\n')
    editor.chmod(0o755)
    staged_by_bob(checkout)
    assert checkout.buildguard("commit", agent="ann", GIT_EDITOR=shlex.quote(str(editor))).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "from the editor"


def test_a_message_from_stdin_serves_the_second_try_too(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    process = subprocess.Popen(
        [BUILDGUARD, "commit", "-F", "-", "--", "mine.txt"],
        cwd=checkout.path,
        env=checkout.env("bob"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("from stdin\n")
    process.stdin.close()
    commit = Following(process)
    commit.says("waiting: ann")
    fixed_by_ann(checkout)
    done = commit.ends()
    assert done.status == 0, done
    assert checkout.ok("log", "-1", "--format=%s") == "from stdin"


def test_a_branch_that_changed_during_the_wait_is_not_committed_to(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine")
    checkout.ok("switch", "-qc", "elsewhere")
    fixed_by_ann(checkout)
    done = commit.ends()
    assert done.status == 75
    assert "not committed: the branch changed from main to elsewhere during the wait" in done.out
    assert done.out.endswith("next: git status --short --branch\n")


def test_an_amend_whose_commit_is_no_longer_head_is_not_repeated(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "--amend", "-m", "mine")
    checkout.write("app.txt", "fixed\n")
    assert checkout.buildguard("commit", "-m", "fix", "--", "app.txt", agent="ann").status == 0
    done = commit.ends()
    assert done.status == 75
    assert "your amend would rewrite another commit" in done.out
    assert done.out.endswith("next: git log --oneline -3\n")
    assert checkout.ok("log", "--format=%s").splitlines() == ["fix", "first"]


def test_another_staged_diff_is_not_committed(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine")
    staged_by_bob(checkout, "theirs.txt")
    fixed_by_ann(checkout)
    done = commit.ends()
    assert done.status == 75
    assert "what is staged is no longer what you had staged" in done.out
    assert checkout.ok("log", "--format=%s") == "first"


@pytest.mark.parametrize("folder", [".", "sub"])
def test_what_others_stage_and_commit_is_nothing_to_a_commit_that_names_its_paths(
    checkout: Checkout, folder: str
) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout, f"{folder}/mine.txt")
    staged_by_bob(checkout, "anns.txt")
    here = Checkout(checkout.path / folder, checkout.home)
    commit = committing(here, "-m", "mine", "--", "mine.txt")
    staged_by_bob(checkout, "carols.txt")
    checkout.write("app.txt", "fixed\n")
    assert checkout.buildguard("commit", "-m", "fix", "--", "app.txt", "anns.txt", agent="ann").status == 0
    done = commit.ends()
    assert done.status == 0, done
    assert checkout.ok("log", "-2", "--format=%s") == "mine\nfix"
    assert checkout.ok("status", "--porcelain") == "A  carols.txt"


def test_what_a_commit_names_and_another_took_is_an_explained_end(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine", "--", "mine.txt")
    staged_by_bob(checkout, "carols.txt")
    checkout.write("app.txt", "fixed\n")
    checkout.ok("add", "app.txt")
    assert checkout.buildguard("commit", "-qm", "two", "--", "app.txt", "mine.txt", agent="ann").status == 0
    done = commit.ends()
    assert (done.status, "nothing to commit: your change is in" in done.out) == (0, True), done


def test_a_change_that_went_with_anothers_commit_is_an_explained_end(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine")
    checkout.write("app.txt", "fixed\n")
    assert checkout.buildguard("commit", "-qam", "all of it", agent="ann").status == 0
    done = commit.ends()
    assert done.status == 0
    commit_id = checkout.ok("rev-parse", "--short", "HEAD")
    assert f"nothing to commit: your change is in {commit_id} (Tester: all of it)" in done.out


def test_gits_own_failures_pass_through(checkout: Checkout) -> None:
    assert checkout.buildguard("commit", "--no-such-option", agent="ann").status == 129
    nothing = checkout.buildguard("commit", "-m", "x", agent="ann")
    assert nothing.status == 1
    assert "nothing to commit" in nothing.out
    empty = checkout.buildguard("commit", "--allow-empty", "-m", "", agent="ann")
    assert empty.status == checkout.git("commit", "--allow-empty", "-m", "", BUILDGUARD="0").status


def test_outside_a_repository_git_has_the_word(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    folder.mkdir()
    nowhere = Checkout(folder, checkout.home, {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    done = nowhere.buildguard("commit", "-m", "x")
    assert (done.status, done.err.startswith("fatal: not a git repository")) == (128, True)


def test_a_commit_message_hook_that_refuses_is_gits_failure(checkout: Checkout) -> None:
    hook = checkout.path / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\necho no such ticket >&2\nexit 1\n")
    hook.chmod(0o755)
    staged_by_bob(checkout)
    done = checkout.buildguard("commit", "-m", "x", agent="ann")
    assert (done.status, "no such ticket" in done.err) == (1, True)
    assert "committing again" not in done.err


# Where git would run no buildguard hook


def no_hook(checkout: Checkout) -> None:
    (checkout.path / ".git" / "hooks" / "pre-commit").unlink()


def a_hook_that_may_not_run(checkout: Checkout) -> None:
    (checkout.path / ".git" / "hooks" / "pre-commit").chmod(0o644)


def no_hooks_path(checkout: Checkout) -> None:
    checkout.ok("config", "core.hooksPath", "")


def hooks_elsewhere(checkout: Checkout) -> None:
    checkout.write("../hooks/pre-commit", "#!/bin/sh\nexit 0\n").chmod(0o755)
    checkout.ok("config", "core.hooksPath", str(checkout.path.parent / "hooks"))


@pytest.mark.parametrize("unhooked", [no_hook, a_hook_that_may_not_run, no_hooks_path, hooks_elsewhere])
def test_where_git_runs_no_hook_of_ours_it_checks_itself(
    checkout: Checkout, unhooked: Callable[[Checkout], None]
) -> None:
    unhooked(checkout)
    checkout.write("app.txt", "BROKEN\n")
    red = checkout.buildguard("commit", "-am", "x", agent="ann")
    assert (red.status, red.out.splitlines()[-1]) == (1, "next: buildguard commit --agent ann -am x"), red
    assert checkout.ok("log", "--format=%s") == "first", "nothing red is committed"
    checkout.write("app.txt", "mended\n")
    green = checkout.buildguard("commit", "-am", "x", agent="ann")
    assert (green.status, "passed: " in green.both, "nothing was checked" in green.both) == (0, True, False), green
    assert "fixed: this checkout, claim 1 is over" in green.out
    assert checkout.ok("log", "--format=%s") == "x\nfirst"


def test_a_hook_that_only_speaks_of_buildguard_guards_nothing(checkout: Checkout) -> None:
    hook = checkout.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n# here buildguard hook was called\ntrue\n")
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.buildguard("commit", "-qam", "red", agent="ann")
    assert (done.status, checkout.ok("log", "-1", "--format=%s")) == (1, "first"), done
    assert "git runs no buildguard hook here: checking before the commit" in done.err


def test_what_is_staged_while_it_checks_itself_is_not_committed(checkout: Checkout) -> None:
    no_hook(checkout)
    checkout.write(".buildguard.toml", "check = 'echo others > theirs.txt; git add theirs.txt'\n")
    checkout.ok("add", "-A")
    done = checkout.buildguard("commit", "-m", "mine", agent="ann")
    assert (done.status, "what is staged is no longer what you had staged" in done.out) == (75, True), done
    assert checkout.ok("log", "--format=%s") == "first"


def test_term_ends_git_and_the_check(tmp_path: Path) -> None:
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", "echo $$ > ../pid; sleep 300")
    pid = tmp_path / "pid"
    commit = Following(checkout.start(BUILDGUARD, "commit", "--allow-empty", "-m", "x", agent="ann"))
    eventually(lambda: pid.exists() and pid.read_text().endswith("\n"), "the check runs")
    commit.process.terminate()
    done = commit.ends()
    assert done.status != 0
    eventually(lambda: not lives(int(pid.read_text())), "the check has ended")
    assert checkout.ok("log", "--format=%s") == "first"


def test_ctrl_c_in_a_wait_is_130_with_the_command_that_repeats_it(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine")
    commit.process.send_signal(signal.SIGINT)
    done = commit.ends()
    assert (done.status, done.out.splitlines()[-1]) == (130, "next: buildguard commit --agent bob -m mine")


def test_it_waits_for_the_build_that_the_hook_guards(checkout: Checkout) -> None:
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {shlex.quote(BUILDGUARD)} hook --build lint\n")
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", "--build", "lint", agent="ann").status == 1
    staged_by_bob(checkout)
    commit = committing(checkout, "-m", "mine", "--", "mine.txt")
    assert "committing again" not in commit.text
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", "--build", "lint", agent="ann").status == 0
    assert commit.ends().status == 0


def test_a_busy_hook_counts_though_a_later_hook_passes(checkout: Checkout) -> None:
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        f"#!/bin/sh\n'{BUILDGUARD}' hook; one=$?\n'{BUILDGUARD}' hook --build lint -- true\nexit $one\n"
    )
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    assert checkout.buildguard("commit", "--timeout", "0.2s", "-m", "mine", agent="bob").status == 75


def test_the_agent_option_is_the_hooks_too(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("commit", "--agent", "ann", "-am", "x")
    assert json.loads(checkout.buildguard("status", "--json", agent="bob").out)["fixer"] == "ann"


def test_json_is_one_object_and_gits_own_words_are_elsewhere(checkout: Checkout) -> None:
    staged_by_bob(checkout)
    done = checkout.buildguard("commit", "--json", "-m", "mine", agent="ann")
    assert json.loads(done.out)["outcome"] == "committed"
    assert "1 file changed" in done.err


def test_on_a_terminal_git_has_the_terminal(checkout: Checkout) -> None:
    editor = checkout.path.parent / "editor"
    editor.write_text('#!/bin/sh\ntest -t 0 && test -t 1 && echo "from a terminal" > "$1"\n')
    editor.chmod(0o755)
    staged_by_bob(checkout)
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [BUILDGUARD, "commit", "-q"],
        cwd=checkout.path,
        env=checkout.env("ann", GIT_EDITOR=shlex.quote(str(editor))),
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(follower)
    done = ended(process)
    os.close(leader)
    assert done.status == 0, done
    assert checkout.ok("log", "-1", "--format=%s") == "from a terminal"


def test_a_fix_in_another_work_tree_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    checkout = new_repository(
        tmp_path / "repository", tmp_path / "home", "echo run >> ../runs; cat fails; test ! -s fails"
    )
    checkout.write("fails", "FAILED test_a.py::test_a - assert 0\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-qm", "broken", BUILDGUARD="0")
    other = checkout.work_tree("other")
    assert checkout.buildguard("commit", "--allow-empty", "-m", "x", agent="ann").status == 1
    staged_by_bob(other)
    commit = committing(other, "-m", "mine")
    checkout.write("fails", "")
    fix = checkout.buildguard("commit", "-qam", "fix", agent="ann")
    assert fix.status == 0, fix
    done = commit.ends()
    assert done.status == 75, done
    last = done.out.splitlines()[-1]
    assert last.startswith("next: buildguard cherry-pick ")
    assert (other.path.parent / "runs").read_text().count("run") == 3, "no check may run only to show that"
    assert other.run("sh", "-c", last.removeprefix("next: "), agent="bob").status == 0
    assert other.ok("log", "-2", "--format=%s") == "mine\nfix", "the one line brings the fix in and commits"


def test_json_tells_what_the_hook_found(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "-A")
    done = checkout.buildguard("commit", "--json", "-qm", "x", agent="ann")
    told = json.loads(done.out)
    assert done.status == 1
    assert (told["outcome"], told["election"]) == ("failed", "claimed")
    assert (told["claim"], told["fixer"], told["mine"]) == (1, "ann", True)
    assert (told["scope"].startswith("checkout:repository-"), told["status"]) == (True, "fixing")
    assert told["next"] == "buildguard commit --agent ann --json -qm x"
    checkout.write("app.txt", "fine\n")
    checkout.write("more.txt", "more\n")
    checkout.ok("add", "-A")
    told = json.loads(checkout.buildguard("commit", "--json", "-qm", "x", agent="ann").out)
    assert (told["outcome"], told["fixed"], told["status"], told["next"]) == ("committed", True, "passing", None)


def test_json_repeats_the_next_command_of_the_hook(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", "check = 'echo others > theirs.txt; git add theirs.txt'\n")
    checkout.ok("add", "-A")
    done = checkout.buildguard("commit", "--json", "-m", "mine", agent="ann")
    told = json.loads(done.out)
    assert (done.status, told["outcome"]) == (1, "changed")
    assert told["next"] == "git commit -m mine -- .buildguard.toml"
    assert f"next: {told['next']}\n" in done.err


def test_what_git_itself_refuses_ends_with_a_next_command(checkout: Checkout) -> None:
    done = checkout.buildguard("commit", "-m", "x", "--", "no-such-file", agent="ann")
    assert done.status == 1
    assert "did not match any file" in done.err
    assert done.out == "buildguard: not committed: git commit ended with 1, and says above why\nnext: git status\n"


# Its own options, and git's


def test_every_line_repeats_its_own_options_and_gits(checkout: Checkout) -> None:
    db = str(checkout.path.parent / "state.db")
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", "--db", db, agent="ann").status == 1
    staged_by_bob(checkout)
    own = ["--build", "default", "--timeout", "0.2s", "--json"]
    words = ["-m", "it's mine", "--signoff", "--", "mine.txt"]
    done = checkout.buildguard("commit", "--db", db, "--agent", "bob", *own, *words)
    told = json.loads(done.out)
    assert (done.status, told["outcome"]) == (75, "timeout")
    again = shlex.split(told["next"])
    assert again[:2] == ["buildguard", "commit"]
    assert again[-len(words) :] == words
    given = again[2 : -len(words)]
    assert given.count("--json") == 1
    given.remove("--json")
    assert dict(zip(given[::2], given[1::2], strict=True)) == {
        "--agent": "bob",
        "--build": "default",
        "--db": db,
        "--timeout": "0.2s",
    }
    checkout.write("app.txt", "fine\n")
    assert checkout.run(*again).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "it's mine"


def test_a_database_of_its_own_is_the_hooks_too(checkout: Checkout) -> None:
    (checkout.path / "sub").mkdir()
    below = Checkout(checkout.path / "sub", checkout.home)
    checkout.write("app.txt", "BROKEN\n")
    assert below.buildguard("commit", "--db", "../../state.db", "--agent", "ann", "-am", "x").status == 1
    there = below.buildguard("status", "--json", "--db", "../../state.db")
    here = below.buildguard("status", "--json")
    assert [json.loads(one.out)["fixer"] for one in (there, here)] == ["ann", None]


def test_the_options_of_the_git_that_called_it_stand_in_its_lines(checkout: Checkout, tmp_path: Path) -> None:
    away = Checkout(tmp_path / "away", checkout.home)
    away.path.mkdir()
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "app.txt")
    red = away.git("-C", str(checkout.path), "buildguard", "commit", "-qm", "mine", agent="ann")
    checkout.write("app.txt", "mended\n")
    checkout.ok("add", "app.txt")
    assert red.last == f"next: git -C {shlex.quote(str(checkout.path))} buildguard commit --agent ann -qm mine"
    assert away.run("sh", "-c", red.last.removeprefix("next: ")).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "mine"


def test_a_waiter_that_came_through_git_is_told_to_wait_through_git(checkout: Checkout, tmp_path: Path) -> None:
    away = Checkout(tmp_path / "away", checkout.home)
    away.path.mkdir()
    checkout.write("app.txt", "BROKEN\n")
    through = ("-C", str(checkout.path), "buildguard", "run")
    assert away.git(*through, agent="ann").status == 1
    busy = away.git(*through, agent="bob")
    program = f"git -C {shlex.quote(str(checkout.path))} buildguard"
    assert (busy.status, busy.last) == (75, f"next: {program} run --wait 5m --agent bob")
    other = away.git(*through, "--", "false", agent="ann")
    assert other.last == f"next: {program} run --build other --agent ann -- false"


UNCHECKED = (
    ("-n -m x", "-m x"),
    ("-anm x", "-a -m x"),
    ("--no-verify -m x", "-m x"),
    ("--no-verif -m x", "-m x"),
    ("-am -n -n", "-a -m -n"),
    ("-nqm x -- app.txt", "-q -m x -- app.txt"),
)


def test_past_the_check_it_commits_nothing_and_says_what_to_run_instead(checkout: Checkout) -> None:
    for given, instead in UNCHECKED:
        checkout.write("app.txt", f"{given}\n")
        checkout.ok("add", "app.txt")
        head = checkout.ok("rev-parse", "HEAD")
        done = checkout.buildguard("commit", *given.split(), agent="ann")
        assert (done.status, done.last) == (2, f"next: buildguard commit --agent ann {instead}"), done
        assert checkout.ok("rev-parse", "HEAD") == head
        assert checkout.run(*shlex.split(done.last.removeprefix("next: "))).status == 0


def test_what_looks_like_no_verify_may_be_a_message(checkout: Checkout) -> None:
    for words in (("-m", "-n"), ("-m-n",), ("--message=--no-verify",)):
        assert checkout.buildguard("commit", "--allow-empty", *words, agent="ann").status == 0
    assert checkout.ok("log", "-3", "--format=%s") == "--no-verify\n-n\n-n"


def test_what_only_shows_is_never_called_committed(checkout: Checkout) -> None:
    staged_by_bob(checkout)
    for option in ("--dry-run", "--short", "--porcelain", "--long", "--dry", "-z"):
        own = checkout.git("commit", option, BUILDGUARD="0")
        shown = checkout.buildguard("commit", option, agent="ann")
        assert (shown.status, shown.out) == (own.status, own.out)
        told = checkout.buildguard("commit", "--json", option, agent="ann")
        assert json.loads(told.out)["outcome"] == "git"
    assert checkout.ok("log", "--format=%s") == "first"


def test_a_waiter_whose_message_came_on_stdin_is_told_to_wait(checkout: Checkout) -> None:
    claimed_by_ann(checkout)
    staged_by_bob(checkout)
    line = f"echo mine | {shlex.quote(BUILDGUARD)} commit --timeout 0.2s -F -"
    done = checkout.run("sh", "-c", line, agent="bob")
    assert (done.status, done.out.splitlines()[-1]) == (75, "next: buildguard wait --agent bob"), done


def test_a_fixer_whose_message_came_on_stdin_is_told_how_to_check(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.run("sh", "-c", f"echo x | {shlex.quote(BUILDGUARD)} commit -aF -", agent="ann")
    assert (done.status, done.last) == (1, "next: buildguard run --agent ann"), done


# Committed is said when HEAD shows it


IGNORING = (
    "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
)


def test_a_parent_that_ignores_its_children_does_not_make_a_refusal_a_commit(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    words = (sys.executable, "-c", IGNORING, BUILDGUARD, "commit", "--json", "-qam", "x")
    red = checkout.run(*words, agent="ann")
    assert (red.status, json.loads(red.out)["outcome"]) == (1, "failed")
    checkout.write("app.txt", "mended\n")
    green = checkout.run(*words, agent="ann")
    assert (green.status, json.loads(green.out)["outcome"]) == (0, "committed")


def test_an_amend_that_makes_the_same_commit_again_is_committed(checkout: Checkout) -> None:
    then = {"GIT_COMMITTER_DATE": "@86400 +0000", "GIT_AUTHOR_DATE": "@86400 +0000"}
    staged_by_bob(checkout)
    heads = []
    for words in (("-m", "x"), ("--amend", "-m", "x"), ("--amen", "--no-edit")):
        done = checkout.buildguard("commit", "--json", *words, agent="ann", **then)
        assert (done.status, json.loads(done.out)["outcome"]) == (0, "committed"), done
        heads.append(checkout.ok("rev-parse", "HEAD"))
    assert len(set(heads)) == 1


def test_a_fix_that_a_waiter_saw_first_is_told_to_whoever_committed_it(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("commit", "-am", "x", agent="ann").status == 1
    hook = checkout.path / ".git" / "hooks" / "post-commit"
    hook.write_text(f"#!/bin/sh\nexec {shlex.quote(BUILDGUARD)} status --agent bob\n")
    hook.chmod(0o755)
    checkout.write("app.txt", "mended\n")
    done = checkout.buildguard("commit", "-am", "x", agent="ann")
    assert (done.status, "fixed: this checkout, claim 1 is over" in done.out) == (0, True), done


def test_the_fix_of_the_build_that_the_hook_guards_is_told(checkout: Checkout) -> None:
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {shlex.quote(BUILDGUARD)} hook --build lint\n")
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("commit", "-am", "x", agent="ann").status == 1
    checkout.write("app.txt", "mended\n")
    done = checkout.buildguard("commit", "-am", "x", agent="ann")
    assert (done.status, "fixed: this checkout, claim 1 is over" in done.out) == (0, True), done


def test_an_empty_message_stays_one_in_the_line_that_repeats_the_commit(checkout: Checkout) -> None:
    checkout.write(
        ".buildguard.toml", "check = 'test -e theirs.txt || { echo x > theirs.txt; git add theirs.txt; }'\n"
    )
    checkout.ok("add", "-A")
    done = checkout.git("commit", "--allow-empty-message", "-m", "", agent="ann")
    assert done.status == 1
    assert checkout.run(*shlex.split(done.last.removeprefix("next: ")), agent="ann").status == 0
    assert checkout.ok("log", "-1", "--format=%B") == ""
    assert checkout.ok("show", "--format=", "--name-only", "HEAD") == ".buildguard.toml"
