"""The command lines that messages end with: they can be pasted into any shell as they stand."""

import shutil
import subprocess
from pathlib import Path

import pytest
from testing.support import Checkout

from buildguard.git import commandline as again
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "ksh") if shutil.which(shell)]
WORDS = (
    "plain",
    "two words",
    "it's",
    '"quoted" $HOME `x` \\ * ! # ~',
    "two\n\nlines\nand 100 %d",
    "\\n is no line break, \\0101 no A",
    "tab\there",
    "\x1b[31mred",
    "zero\u200bwidth and \u202eturned",
    "-m",
    "",
    "caf\udce9",
)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_a_pasted_word_is_the_word(shell: str, word: str) -> None:
    line = words.command(["printf", "%s", word])
    assert line is not None
    assert line.isprintable()
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
    assert done.stdout == word.encode("utf-8", "surrogateescape")


def test_what_is_too_long_to_be_pasted_is_no_command() -> None:
    assert words.command(["git", "commit", "-m", "x" * 5000]) is None
    assert again.by_commit(["git", "commit", "-m", "x" * 5000]) == "buildguard wait"


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
    assert again.only_paths(arguments.split()) == paths


REPEATED = (
    ("git commit -m x", "buildguard commit -m x"),
    ("git commit", "buildguard commit"),
    ("/usr/bin/git commit -am x", "buildguard commit -am x"),
    ("git -C sub commit -m x", "git -C sub buildguard commit -m x"),
    ("git -c user.name=me commit --amend", "git -c user.name=me buildguard commit --amend"),
    ("git commit -m x -- a b", "buildguard commit -m x -- a b"),
    ("git commit -- a", "buildguard commit -- -- a"),
    ("git merge topic", "buildguard commit --no-edit"),
    ("git ci -m x", "buildguard wait && git ci -m x"),
)


@pytest.mark.parametrize(("called", "repeated"), REPEATED, ids=[row[0] for row in REPEATED])
def test_the_same_commit_through_buildguard(called: str, repeated: str) -> None:
    assert again.by_commit(called.split()) == repeated


def test_what_nobody_knows_cannot_be_repeated() -> None:
    assert again.by_commit([]) is None


AMENDS = (
    ("git commit --amend", True),
    ("git commit --am", True),
    ("git -c a=b commit -m x --amend", True),
    ("git commit -m x", False),
    ("git commit -- --amend", False),
    ("git commit --all", False),
    ("git merge --amend", False),
)


@pytest.mark.parametrize(("called", "amends"), AMENDS)
def test_whether_it_is_an_amend(called: str, amends: bool) -> None:
    assert again.is_amend(called.split()) is amends


ONLY = (
    ("git commit -m x", "git commit -m x -- p"),
    ("git commit -am x", "git commit -m x -- p"),
    ("git commit -a", "git commit -- p"),
    ("git commit --all --author=me -qsm x", "git commit --author=me -qsm x -- p"),
    ("git commit --author me -m x", "git commit --author me -m x -- p"),
    ("git commit --amend --no-edit", "git commit --amend --no-edit -- p"),
    ("git commit -F msg -- other", "git commit -F msg -- p"),
    ("git -C sub commit -m x", "git -C sub commit -m x -- p"),
    ("git commit --fixup abc", "git commit -- p"),
    ("git merge topic", "git commit -- p"),
)


@pytest.mark.parametrize(("called", "expected"), ONLY, ids=[row[0] for row in ONLY])
def test_a_commit_of_only_the_staged_paths(called: str, expected: str) -> None:
    assert again.only(called.split(), ["p"]) == expected


def test_without_a_path_git_would_commit_everything_so_it_is_only_looked_at() -> None:
    assert again.only(["git", "commit", "-m", "x"], []) == "git status --short"


def test_a_command_is_aimed_with_the_options_of_the_call() -> None:
    report = Report("busy", 75, ("give up with: buildguard release --gave-up",), "buildguard wait")
    aimed = report.aimed(" --build lint")
    assert aimed.lines == ("give up with: buildguard release --gave-up --build lint",)
    assert aimed.next == "buildguard wait --build lint"
    assert Report("x", 1, (), "buildguard commit -m x").aimed(" --build lint").next == "buildguard commit -m x"


def test_the_global_options_of_git_are_kept_where_they_are_pasted(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("app.txt", "BROKEN\n")
    outside = Checkout(tmp_path, checkout.home)
    told = outside.git("-C", str(checkout.path), "commit", "-qam", "x", agent="ann").last
    checkout.write("app.txt", "fixed\n")
    assert outside.run("sh", "-c", told.removeprefix("next: "), agent="ann").status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "x"
