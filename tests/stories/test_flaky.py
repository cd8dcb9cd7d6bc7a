"""Checks that fail and pass on the same files, and what a check leaves behind."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from testing.support import Checkout, Done, new_repository

CHECK = "sh check.sh && ! grep -q BROKEN app.txt"
FAILS_ONCE = """\
if [ -e "$ONCE" ]; then rm "$ONCE"; echo "FAILED tests/test_a.py::test_a - assert 0"; exit 1; fi
"""


@pytest.fixture
def flaky(tmp_path: Path) -> Checkout:
    """A repository whose check fails once whenever `fail_once` asks for it, whatever its files."""
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", CHECK, ONCE=str(tmp_path / "once"))
    checkout.write("check.sh", FAILS_ONCE)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "check")
    return checkout


def fail_once(checkout: Checkout) -> None:
    Path(checkout.variables["ONCE"]).touch()


def check(checkout: Checkout, times: int = 1) -> Done:
    """Run the check so often; how the last one ended."""
    return [checkout.buildguard("run", agent="ann") for _ in range(times)][-1]


COUNT = "flaky: tests/test_a.py::test_a failed 2 of 6 times on unchanged files"


def test_status_and_log_name_it_with_the_count(flaky: Checkout) -> None:
    for _ in range(2):
        fail_once(flaky)
        check(flaky, 3)
    for name in ("status", "log"):
        assert COUNT in flaky.buildguard(name, agent="ann").out
        found = json.loads(flaky.buildguard(name, "--json", agent="ann").out)["flaky"]
        assert found == [{"check": CHECK, "failure": "tests/test_a.py::test_a", "failed": 2, "runs": 6}]


def test_a_check_that_is_mended_is_not_flaky(flaky: Checkout) -> None:
    flaky.write("app.txt", "BROKEN\n")
    assert check(flaky).status == 1
    flaky.write("app.txt", "mended\n")
    assert check(flaky).status == 0
    assert "flaky" not in flaky.buildguard("status", agent="ann").out


def test_confirm_lets_a_flaky_commit_through_and_elects_nobody(flaky: Checkout) -> None:
    fail_once(flaky)
    done = flaky.git("commit", "--allow-empty", "-m", "x", agent="ann", BUILDGUARD_CONFIRM="1")
    assert done.status == 0, done
    assert "confirm is set: running it once more\n" in done.err
    assert "flaky: it failed, and passed on the very same files\n" in done.err
    assert flaky.buildguard("log", agent="ann").out == (
        "buildguard: no events yet\n"
        "buildguard: flaky: tests/test_a.py::test_a failed 1 of 2 times on unchanged files\n"
    )


def test_what_fails_twice_elects(flaky: Checkout) -> None:
    flaky.write("app.txt", "BROKEN\n")
    done = flaky.buildguard("run", agent="ann", BUILDGUARD_CONFIRM="1")
    assert done.status == 1
    assert done.both.count("running it once more") == 1
    assert "claimed: you are the fixer" in done.both


def test_both_runs_of_a_failure_count(flaky: Checkout) -> None:
    left = '[ "$(cat "$ONCE" 2>/dev/null)" != xx ]'
    flaky.write("check.sh", f'if {left}; then printf x >> "$ONCE"; exit 1; fi\n')
    flaky.buildguard("run", agent="ann", BUILDGUARD_CONFIRM="1")
    assert check(flaky).status == 0
    assert "failed 2 of 3 times on unchanged files" in flaky.buildguard("status", agent="ann").out


def test_what_somebody_fixes_is_waited_for_without_another_run(flaky: Checkout) -> None:
    flaky.write("app.txt", "BROKEN\n")
    check(flaky)
    done = flaky.buildguard("run", agent="bob", BUILDGUARD_CONFIRM="1")
    assert done.status == 75
    assert "once more" not in done.both


def test_a_second_run_that_shows_nothing_elects_by_the_first(flaky: Checkout) -> None:
    flaky.write("check.sh", 'if [ -e "$ONCE" ]; then exit 127; fi; touch "$ONCE"; exit 1\n')
    done = flaky.buildguard("run", agent="ann", BUILDGUARD_CONFIRM="1")
    assert done.status == 1
    assert "the second run showed nothing: " in done.both
    assert "claimed: you are the fixer" in done.both


# What a check leaves behind

NAMES = ("plain.dat", "# odd [a]*?! \\.dat", "trailing ", "new\nline")


def leaving(checkout: Checkout, *names: str) -> Done:
    script = checkout.path.parent / "leave.py"
    script.write_text(f"for name in {names!r}: open(name, 'a').write('x')")
    return checkout.buildguard("run", "--", "python3", str(script), agent="ann")


def test_what_it_leaves_is_told_once_a_day_with_the_line_that_ignores_it(flaky: Checkout) -> None:
    flaky.write(".gitignore", "*.log")
    done = leaving(flaky, *NAMES)
    assert done.status == 0, done
    assert "untracked files changed during python3 " in done.err
    (line,) = [line for line in done.err.splitlines() if "ignore them: " in line]
    subprocess.run(line.partition("ignore them: ")[2], shell=True, check=True, cwd=os.sep)
    ignored = flaky.ok("status", "--porcelain", "-z")
    # A line of a file of patterns has no newline in it.
    assert [row for row in ignored.split("\0") if row] == ["?? .gitignore", "?? new\nline"]
    assert (flaky.path / ".gitignore").read_text().startswith("*.log\n/")
    assert "untracked" not in leaving(flaky, "another.dat").both


def test_a_check_that_leaves_nothing_is_told_nothing(flaky: Checkout) -> None:
    assert "untracked" not in check(flaky).both
