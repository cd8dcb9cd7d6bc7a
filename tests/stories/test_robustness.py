"""What is around us may be broken: closed streams, no room for temporary files, a row that nobody wrote."""

import os
import re
import resource
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from store.faulty import OBEYING
from testing.support import BUILDGUARD, Checkout, Done, ended, eventually, with_variables


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


_MANY = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for _ in range(1100):
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_an_agent_that_hands_on_a_thousand_descriptors_is_checked_like_any(checkout: Checkout) -> None:
    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096:
        pytest.skip("the system allows no more descriptors")
    commit = (sys.executable, "-c", _MANY, "git", "commit", "-qm")
    good = checkout.run(*commit, "good", "--allow-empty", agent="ann")
    assert (good.status, "passed: " in good.err) == (0, True), good
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "app.txt")
    bad = checkout.run(*commit, "bad", agent="ann")
    assert (bad.status, "ValueError" in bad.both, "you are the fixer" in bad.err) == (1, False, True), bad


def test_with_hardly_a_descriptor_left_the_verdict_is_the_check_s(checkout: Checkout) -> None:
    few = f"ulimit -n 10; exec {shlex.quote(BUILDGUARD)} hook"
    good = checkout.run("sh", "-c", few, agent="ann")
    assert (good.status, "passed: " in good.err) == (0, True), good
    checkout.write("app.txt", "BROKEN\n")
    bad = checkout.run("sh", "-c", few, agent="ann")
    assert (bad.status, "failed: " in bad.err) == (1, True), bad


def test_with_too_few_descriptors_to_load_there_is_one_clear_line(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.run("sh", "-c", f"ulimit -n 5; exec {shlex.quote(BUILDGUARD)} hook", agent="ann")
    line = "buildguard: error: there are too few file descriptors for buildguard (ulimit -n)\nnext: ulimit -n\n"
    assert (done.status, done.err) == (2, line), done


@pytest.mark.parametrize("words", [("hook",), ("status",), ("log",), ("doctor",)])
def test_a_module_of_the_project_s_is_none_of_ours(
    checkout: Checkout, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in ("select", "typing", "json", "click", "rich", "psutil", "sqlite3", "fcntl", "subprocess", "shlex"):
        checkout.write(f"{name}.py", "raise SystemExit('the project has this module')\n")
    for path in (str(checkout.path), ".", os.pathsep):
        done = checkout.buildguard(*words, agent="ann", PYTHONPATH=path)
        assert (done.status, "the project has" in done.both) == (0, False), done


@pytest.mark.parametrize("kind", ["LITERAL", "GLOB", "NOGLOB", "ICASE"])
def test_another_meaning_of_paths_hides_no_fix(checkout: Checkout, kind: str) -> None:
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1
    checkout.write("app.txt", "mended\n")
    done = checkout.git("commit", "-qam", "fix", agent="ann", **{f"GIT_{kind}_PATHSPECS": "1"})
    assert (done.status, "this commit has what makes it pass" in done.err) == (0, True), done


def test_a_row_that_nobody_wrote_takes_away_no_green_verdict(checkout: Checkout) -> None:
    assert checkout.buildguard("claim", agent="ann").status == 0
    database = sqlite3.connect(checkout.path / ".git" / "buildguard" / "state.db")
    with database:
        database.execute("UPDATE build_state SET value = json_set(value, '$.number', 'one')")
    database.close()
    done = checkout.buildguard("run", "--", "true", agent="ann")
    assert done.status == 0
    assert "coordination is unavailable" in done.err


BUGS = (
    "buildguard.claims.guard:Guard.read",
    "buildguard.claims.guard:Guard.passed",
    "buildguard.claims.guard:Guard.failed",
    "buildguard.claims.guard:Guard.history",
    "buildguard.git.files:look",
    "buildguard.git.files:watched",
    "buildguard.checks.failures:failure_ids",
    "buildguard.commands.landing:ask",
    "buildguard.commands.elsewhere:handed_on",
)


@pytest.mark.parametrize("where", BUGS)
def test_a_bug_inside_coordination_leaves_the_verdict(checkout: Checkout, tmp_path: Path, where: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    module, name = where.split(":")
    (site / "sitecustomize.py").write_text(
        f"import {module} as module\n"
        "def _broken(*_, **__):\n    raise RuntimeError('on purpose')\n"
        f"module.{name} = _broken\n"
    )
    checkout.buildguard("run", agent="ann")
    faulty = with_variables(checkout, {"PYTHONPATH": str(site), "TMPDIR": str(tmp_path)})
    good = faulty.git("commit", "--allow-empty", "-m", "good", agent="ann")
    assert good.status == 0, good
    checkout.write("app.txt", "BROKEN\n")
    bad = faulty.git("commit", "-am", "bad", agent="ann")
    assert (bad.status, checkout.ok("log", "-1", "--format=%s")) == (1, "good")
    assert faulty.buildguard("run", "--", "true", agent="ann").status == 0
    assert faulty.buildguard("run", "--", "false", agent="ann").status == 1
    told = re.search(r"coordination is unavailable: a bug in buildguard; report: (.+)", good.err + bad.err)
    assert told, bad
    assert "RuntimeError: on purpose" in Path(told[1]).read_text()


CANNOT_START = {
    "missing": "git is not installed, or cannot be run: No such file or directory",
    "not executable": "git is not installed, or cannot be run: Permission denied",
    "of another machine": "git is not installed, or cannot be run: Exec format error",
}


@pytest.mark.parametrize("git", CANNOT_START)
def test_a_git_that_cannot_start_leaves_the_verdict(checkout: Checkout, tmp_path: Path, git: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("true", "false"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if git != "missing":
        (programs / "git").write_bytes(b"\x7fELF of another machine")
        (programs / "git").chmod(0o644 if git == "not executable" else 0o755)
    for check, status in (("true", 0), ("false", 1)):
        done = checkout.buildguard("run", "--", check, agent="ann", PATH=str(programs))
        assert done.status == status, done
        assert done.err.count(f"buildguard: coordination is unavailable: {CANNOT_START[git]}\n") == 1
        assert "Traceback" not in done.both


@pytest.mark.parametrize("then", ["exit 128", pytest.param("exec sleep 300", marks=pytest.mark.slow)])
def test_a_git_that_does_not_answer_at_the_end_leaves_the_verdict_and_is_told(
    checkout: Checkout, tmp_path: Path, then: str
) -> None:
    programs, reached, go = tmp_path / "programs", tmp_path / "reached", tmp_path / "go"
    programs.mkdir()
    real = shlex.quote(str(shutil.which("git")))
    (programs / "git").write_text(
        f'#!/bin/sh\nif [ -e {shlex.quote(str(go))} ]; then {then}; fi\nexec {real} "$@"\n'
    )
    (programs / "git").chmod(0o755)
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    # Git puts its own folder first on a hook's PATH.
    hook.write_text(f"#!/bin/sh\nPATH={shlex.quote(str(programs))}:$PATH exec {shlex.quote(BUILDGUARD)} hook\n")
    check = f"touch {shlex.quote(str(reached))}; while [ ! -e {shlex.quote(str(go))} ]; do sleep 0.02; done"
    checkout.write("mine.txt", "mine\n")
    checkout.ok("add", "mine.txt")
    mine = checkout.start("git", "commit", "-m", "x", agent="ann", BUILDGUARD_CHECK=check)
    eventually(reached.exists, "the check runs")
    checkout.write("theirs.txt", "theirs\n")
    checkout.ok("add", "theirs.txt")
    go.touch()
    done = ended(mine)
    assert done.status == 0, done
    assert "commit safety could not be checked: " in done.err


@pytest.fixture
def read_only(checkout: Checkout) -> Iterator[Checkout]:
    """A repository whose .git can only be read, as in the sandbox of some coding agents; ann holds a claim."""
    checkout.buildguard("claim", agent="ann")
    git = checkout.path / ".git"
    kept = {path: path.stat().st_mode for path in (git, *git.rglob("*"))}
    for path, mode in kept.items():
        path.chmod(mode & ~0o222)
    yield checkout
    for path, mode in kept.items():
        path.chmod(mode)


def obeying(checkout: Checkout, *words: str) -> Done:
    """Let bob run buildguard without root's right to write everywhere."""
    return checkout.run(sys.executable, "-c", OBEYING, BUILDGUARD, *words, agent="bob")


def test_where_git_can_only_be_read_the_verdict_stands(read_only: Checkout) -> None:
    good, bad = (obeying(read_only, "run", "--", check) for check in ("true", "false"))
    # Others' claims bind who may only read.
    assert (good.status, bad.status) == (0, 75), (good, bad)
    assert good.err.count("coordination is unavailable") == 1
    assert "Traceback" not in good.both + bad.both


def test_where_git_can_only_be_read_one_still_sees_who_fixes(read_only: Checkout) -> None:
    for words in (("status",), ("wait", "--timeout", "0.1s"), ("log",)):
        done = obeying(read_only, *words)
        assert "ann" in done.out, done


def test_without_arguments_it_shows_its_help(checkout: Checkout) -> None:
    done = checkout.buildguard()
    assert done.status == 0
    assert "Committing:" in done.out


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


def test_what_a_pass_printed_is_kept_through_no_link_and_as_open_as_git_s_folder(checkout: Checkout) -> None:
    victim = checkout.write("victim", "mine\n")
    assert checkout.buildguard("run", "--", "echo", "out", agent="ann").status == 0
    (kept,) = (checkout.path / ".git/buildguard").glob("last-pass-*")
    assert kept.read_text() == "out\n"
    kept.unlink()
    kept.symlink_to(victim)
    assert checkout.buildguard("run", "--", "echo", "out", agent="ann").status == 0
    assert (victim.read_text(), kept.is_symlink(), kept.read_text()) == ("mine\n", False, "out\n")
    assert kept.stat().st_mode & 0o777 == kept.parent.stat().st_mode & 0o666
