"""A check that calls buildguard or commits: the run above coordinates, and there is no recursion."""

import json
import shlex
from pathlib import Path

import pytest
from testing.support import BUILDGUARD, Checkout, new_repository

COMMITS = "echo ran >> ../runs; git commit -q --allow-empty -m from-the-check"


@pytest.fixture
def committing(tmp_path: Path) -> Checkout:
    """A repository whose check commits to it."""
    return new_repository(tmp_path / "repository", tmp_path / "home", COMMITS)


def runs(checkout: Checkout) -> int:
    """How often the check ran."""
    return len((checkout.path.parent / "runs").read_text().split())


def state(checkout: Checkout) -> object:
    return json.loads(checkout.buildguard("status", "--json", agent="onlooker").out)["status"]


def test_a_check_that_commits_does_not_recurse(committing: Checkout) -> None:
    done = committing.buildguard("run", agent="ann")
    assert done.status == 0, done
    assert f"not checked: {COMMITS} is running above, and made this call itself\n" in done.err
    assert runs(committing) == 1
    assert committing.ok("log", "--format=%s").splitlines() == ["from-the-check", "first"]


def test_in_the_hook_neither_and_a_head_that_it_moved_is_no_longer_the_one_that_was_checked(
    committing: Checkout,
) -> None:
    done = committing.git("commit", "--allow-empty", "-m", "mine", agent="ann")
    assert done.status == 1
    assert "refused: HEAD moved" in done.err
    assert runs(committing) == 1
    assert committing.ok("log", "--format=%s").splitlines() == ["from-the-check", "first"]


def test_where_git_does_not_answer_there_is_no_recursion_either(tmp_path: Path) -> None:
    # It ends by itself: where this test fails, the machine would else be full of hooks.
    few = 'echo ran >> ../runs; [ "$(wc -l < ../runs)" -gt 3 ] || git commit -q --allow-empty -m from-the-check'
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", few)
    real = Path(checkout.ok("--exec-path"))
    programs = tmp_path / "programs"
    programs.mkdir()
    for path in real.iterdir():
        (programs / path.name).symlink_to(path)
    (programs / "git").unlink()
    mute = f'#!/bin/sh\ncase "$*" in *rev-parse*) exit 1;; esac\nexec {shlex.quote(str(real / "git"))} "$@"\n'
    (programs / "git").write_text(mute)
    (programs / "git").chmod(0o755)
    checkout.git("commit", "--allow-empty", "-m", "mine", agent="ann", GIT_EXEC_PATH=str(programs))
    assert runs(checkout) == 1


def test_the_same_words_in_another_repository_are_another_check(committing: Checkout, tmp_path: Path) -> None:
    inner = new_repository(tmp_path / "inner", committing.home, "echo inner >> ../inner-runs")
    words = ("run", "--", "sh", "-c", f"cd {shlex.quote(str(inner.path))} && git commit -q --allow-empty -m x")
    done = committing.buildguard(*words, agent="ann")
    assert done.status == 0, done
    assert (tmp_path / "inner-runs").exists()
    assert inner.ok("log", "-1", "--format=%s") == "x"


def test_what_a_check_left_behind_is_checked_like_anybody(checkout: Checkout, tmp_path: Path) -> None:
    kept = tmp_path / "active"
    check = f'printf %s "$BUILDGUARD_ACTIVE" > {shlex.quote(str(kept))}; ! grep -q BROKEN app.txt'
    words = ("run", "--", "sh", "-c", check)
    assert checkout.buildguard(*words, agent="ann").status == 0
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.buildguard(*words, agent="ann", BUILDGUARD_ACTIVE=kept.read_text())
    assert (done.status, "failed: " in done.out, "not checked" in done.both) == (1, True, False), done


def test_of_another_check_below_nobody_is_told(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--", "sh", "-c", f"! {shlex.quote(BUILDGUARD)} run -- false", agent="ann")
    assert done.status == 0, done
    assert "failed: false (exit status 1)" in done.both
    assert "claimed" not in done.both
    assert state(checkout) == "passing"


def test_a_commit_below_another_check_is_still_checked(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.buildguard("run", "--", "sh", "-c", "! git commit -qam x", agent="ann")
    assert done.status == 0, done
    assert checkout.ok("log", "--format=%s") == "first"
    assert state(checkout) == "passing"


def test_a_check_that_outlives_the_one_who_asked_for_it_is_still_above_what_it_starts(checkout: Checkout) -> None:
    shown = "printf %s \"$BUILDGUARD_ACTIVE\" | tail -n 1 | cut -f 3 | cut -d ' ' -f 1; echo $PPID"
    done = checkout.buildguard("run", "--", "sh", "-c", shown, agent="ann")
    named, runner = done.out.splitlines()[:2]
    assert named == runner, done
