"""What is around us may be broken: closed streams, no room for temporary files, a row that nobody wrote."""

import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest
from testing.support import BUILDGUARD, Checkout, ended, eventually

from buildguard.git import commandline as again


@pytest.mark.parametrize("temporary", ["/nonexistent", "/dev/null/file"])
def test_a_commit_is_checked_where_temporary_files_cannot_be_made(checkout: Checkout, temporary: str) -> None:
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    assert checkout.git("commit", "-m", "x", agent="ann", TMPDIR=temporary).status == 0


def test_what_others_stage_is_refused_where_temporary_files_cannot_be_made(
    checkout: Checkout, tmp_path: Path
) -> None:
    reached, go = tmp_path / "reached", tmp_path / "go"
    check = f"touch {shlex.quote(str(reached))}; while [ ! -e {shlex.quote(str(go))} ]; do :; done"
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    mine = checkout.start("git", "commit", "-m", "x", agent="ann", TMPDIR="/nonexistent", BUILDGUARD_CHECK=check)
    eventually(reached.exists, "the check runs")
    checkout.write("theirs.txt", "theirs\n")
    checkout.ok("add", "theirs.txt")
    go.touch()
    done = ended(mine)
    assert done.status == 1
    assert "theirs.txt" in done.err
    assert checkout.ok("log", "--format=%s") == "first"


@pytest.mark.parametrize(("closing", "status"), [(">&-", 0), ("2>&-", 0), ("<&-", 0)])
def test_a_closed_stream_changes_no_verdict(checkout: Checkout, closing: str, status: int) -> None:
    for check, expected in (("true", status), ("false", 1)):
        done = checkout.run("sh", "-c", f"exec {shlex.quote(BUILDGUARD)} run -- {check} {closing}", agent="ann")
        assert done.status == expected, done
        assert "Traceback" not in done.both


def test_a_row_that_nobody_wrote_takes_away_no_green_verdict(checkout: Checkout) -> None:
    assert checkout.buildguard("claim", agent="ann").status == 0
    database = sqlite3.connect(checkout.path / ".git" / "buildguard" / "state.db")
    with database:
        database.execute("UPDATE build_state SET value = '{}'")
    database.close()
    done = checkout.buildguard("run", "--", "true", agent="ann")
    assert done.status == 0
    assert "coordination is unavailable" in done.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-F", "-"], True),
        (["-aF", "-"], True),
        (["-F-"], True),
        (["--file=-"], True),
        (["-m", "see PDF-"], False),
        (["-m", "-"], False),
        (["-am", "-F-"], False),
        (["-m", "x", "--", "-"], False),
    ],
)
def test_only_a_commit_that_reads_stdin_is_taken_for_one(arguments: list[str], expected: bool) -> None:
    assert again.reads_stdin(arguments) is expected


def test_without_arguments_it_shows_its_help(checkout: Checkout) -> None:
    done = checkout.buildguard()
    assert done.status == 0
    assert "Commands:" in done.out


def test_a_relative_database_in_the_environment_is_one_file_for_the_whole_work_tree(checkout: Checkout) -> None:
    (checkout.path / "sub").mkdir()
    below = Checkout(checkout.path / "sub", checkout.home)
    assert checkout.buildguard("claim", agent="ann", BUILDGUARD_DB=".bg.db").status == 0
    assert below.buildguard("claim", agent="bob", BUILDGUARD_DB=".bg.db").status == 75


def test_one_session_in_two_clones_that_share_a_database_is_two_agents(checkout: Checkout, tmp_path: Path) -> None:
    clones = []
    for name in ("one", "two"):
        subprocess.run(["git", "clone", "-q", str(checkout.path), str(tmp_path / name)], check=True)
        clones.append(Checkout(tmp_path / name, checkout.home))
    session = {"CLAUDE_CODE_SESSION_ID": "s1", "BUILDGUARD_DB": str(tmp_path / "shared.db")}
    assert [clone.buildguard("claim", "--scope", "repo", **session).status for clone in clones] == [0, 75]


def test_a_commit_waits_once_for_the_build_that_its_hook_is_about(checkout: Checkout) -> None:
    assert checkout.buildguard("claim", "--build", "lint", agent="ann").status == 0
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nBUILDGUARD_BUILD=lint exec {shlex.quote(BUILDGUARD)} hook\n")
    checks = checkout.path.parent / "checks"
    check = f"echo ran >> {shlex.quote(str(checks))}; exit 1"
    argv = (BUILDGUARD, "commit", "--timeout", "2s", "--allow-empty", "-m", "x")
    done = checkout.run(*argv, agent="bob", BUILDGUARD_CHECK=check)
    assert done.status == 75
    assert checks.read_text().split() == ["ran"]
