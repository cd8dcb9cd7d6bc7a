"""The command line that repeats a commit: read off git's, right for every kind of commit."""

from pathlib import Path

import pytest
from testing.pasting import pasted
from testing.support import Checkout

from buildguard.git import commandline

PATHS = (
    ("-m x", ()),
    ("-m x a", ()),
    ("-m x -- a b", ("a", "b")),
    ("-- a", ("a",)),
    ("-i -- a", ()),
    ("-qi -m x -- a", ()),
    ("--include -m x -- a", ()),
    ("-mi -- a", ("a",)),
    ("-m x -- -i", ("-i",)),
)


@pytest.mark.parametrize(("arguments", "paths"), PATHS, ids=[row[0] for row in PATHS])
def test_the_paths_of_a_commit_that_takes_nothing_else(arguments: str, paths: tuple[str, ...]) -> None:
    assert commandline.only_paths(arguments.split()) == paths


REPEATED = (
    ("git commit -m x", "buildguard commit -m x"),
    ("git commit", "buildguard commit"),
    ("/usr/bin/git commit -am x", "buildguard commit -am x"),
    ("git -C sub commit -m x", "git -C sub buildguard commit -m x"),
    ("git -c user.name=me commit --amend", "git -c user.name=me buildguard commit --amend"),
    ("git --git-dir d --work-tree w commit", "git --git-dir d --work-tree w buildguard commit"),
    ("git commit -m x -- a b", "buildguard commit -m x -- a b"),
    ("git commit -- a", "buildguard commit -- -- a"),
    ("git merge topic", "buildguard commit --no-edit"),
    ("git pull", "buildguard commit --no-edit"),
    ("git cherry-pick --continue", "git cherry-pick --continue"),
    ("git -C sub rebase --continue", "git -C sub rebase --continue"),
    ("git rebase -i main", None),
    ("git ci -m x", None),
    ("git commit -F -", None),
    ("git commit -F -- a", "buildguard commit -F -- a"),
    (f"git commit -m {'x' * 5000}", None),
    ("", None),
)


@pytest.mark.parametrize(("called", "repeated"), REPEATED, ids=[row[0][:40] for row in REPEATED])
def test_the_same_commit_through_buildguard(called: str, repeated: str | None) -> None:
    assert commandline.by_commit(called.split()) == repeated


def test_the_options_of_the_caller_come_before_those_of_git() -> None:
    aim = ("--agent", "ann's")
    assert (
        commandline.by_commit(["git", "commit", "-m", "x"], aim) == "buildguard commit --agent 'ann'\"'\"'s' -m x"
    )
    assert commandline.by_commit(["git", "merge", "x"], aim) == "buildguard commit --agent 'ann'\"'\"'s' --no-edit"


AMENDS = (
    ("git commit --amend", True),
    ("git commit --am", True),
    ("git -c a=b commit -m x --amend", True),
    ("git commit -m x", False),
    ("git commit -m --amend", False),
    ("git commit -- --amend", False),
    ("git commit --all", False),
    ("git merge --amend", False),
)


@pytest.mark.parametrize(("called", "amends"), AMENDS)
def test_whether_it_is_an_amend(called: str, amends: bool) -> None:
    assert commandline.is_amend(called.split()) is amends


SKIPPING = (
    ("--no-verify -m x", True),
    ("-nm x", True),
    ("-m x -n", True),
    ("-anm x", True),
    ("--no-veri", True),
    ("--no-edit", False),
    ("-m -n", False),
    ("-mn", False),
    ("-m x -- -n", False),
)


@pytest.mark.parametrize(("arguments", "skips"), SKIPPING)
def test_whether_a_commit_runs_no_hook(arguments: str, skips: bool) -> None:
    assert commandline.skips_hooks(arguments.split()) is skips


HOOKED = (
    ("-m x --no-verify", "-m x"),
    ("-nam x a", "-a -m x a"),
    ("-am -n --no-veri", "-a -m -n"),
    ("-Sn -uno", "-Sn -uno"),
    ("--author -n --no-edit", "--author -n --no-edit"),
    ("-n -- -n", "-- -n"),
)


@pytest.mark.parametrize(("arguments", "hooked"), HOOKED)
def test_the_same_commit_with_its_hooks(arguments: str, hooked: str) -> None:
    assert commandline.with_hooks(arguments.split()) == hooked.split()


SHOWING = (
    ("--dry-run", True),
    ("-m x --short", True),
    ("--porc", True),
    ("--long -- a", True),
    ("-m --dry-run", False),
    ("--signoff", False),
    ("-- --dry-run", False),
)


@pytest.mark.parametrize(("arguments", "shows"), SHOWING)
def test_whether_git_would_only_show(arguments: str, shows: bool) -> None:
    assert commandline.only_shows(arguments.split()) is shows


READING = (
    ("-F -", True),
    ("-aF -", True),
    ("-F-", True),
    ("--file=-", True),
    ("--file -", True),
    ("--pathspec-from-file=-", True),
    ("-m see-PDF-", False),
    ("-m -", False),
    ("-am -F-", False),
    ("-m x -- -", False),
)


@pytest.mark.parametrize(("arguments", "reads"), READING)
def test_only_a_commit_that_reads_stdin_is_taken_for_one(arguments: str, reads: bool) -> None:
    assert commandline.reads_stdin(arguments.split()) is reads


ONLY = (
    ("git commit -m x", "git commit -m x -- p"),
    ("git commit -am x", "git commit -m x -- p"),
    ("git commit -a", "git commit -- p"),
    ("git commit --all --author=me -qsm x", "git commit --author=me -q -s -m x -- p"),
    ("git commit --author me -m x", "git commit --author me -m x -- p"),
    ("git commit --amend --no-edit", "git commit --amend --no-edit -- p"),
    ("git commit -F msg -- other", "git commit -F msg -- p"),
    ("git -C sub commit -m x", "git -C sub commit -m x -- p"),
    ("git commit --fixup abc", "git commit --fixup abc -- p"),
    ("git commit -S -uno -m x", "git commit -S -uno -m x -- p"),
    ("git commit -Skey", "git commit -Skey -- p"),
    ("git commit -i -m x other", "git commit -m x -- p"),
    ("git commit --pathspec-from-file=list", "git commit -- p"),
    ("git commit -F -", "git status --short"),
    ("git merge topic", "git status --short"),
)


@pytest.mark.parametrize(("called", "expected"), ONLY, ids=[row[0] for row in ONLY])
def test_a_commit_of_only_the_staged_paths(called: str, expected: str) -> None:
    assert commandline.only(called.split(), ["p"]) == expected


def test_without_a_path_git_would_commit_everything_so_it_is_only_looked_at() -> None:
    assert commandline.only(["git", "commit", "-m", "x"], []) == "git status --short"


def test_the_global_options_of_git_are_kept_where_they_are_pasted(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("app.txt", "BROKEN\n")
    outside = Checkout(tmp_path, checkout.home)
    told = outside.git("-C", str(checkout.path), "commit", "-qam", "x", agent="ann")
    checkout.write("app.txt", "fixed\n")
    assert pasted(outside, told).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "x"
