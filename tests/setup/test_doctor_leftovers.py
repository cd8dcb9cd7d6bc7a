"""`buildguard doctor` on what others left behind: index locks, and edits that a killed hook runner has put away."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_doctor import AGENT, findings, mended
from testing.support import BUILDGUARD, Checkout, ended, eventually, lives, new_repository
from testing.tools import named, need


def old_lock(checkout: Checkout) -> Path:
    """A lock that was left behind an hour ago."""
    lock = Path(checkout.ok("rev-parse", "--absolute-git-dir")) / "index.lock"
    lock.write_bytes(b"")
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))
    return lock


def advice(checkout: Checkout) -> Mapping[str, str]:
    """What doctor says of the index lock."""
    return findings(checkout)["index lock"]


def test_the_lock_of_a_commit_that_still_runs_is_never_to_be_deleted(checkout: Checkout) -> None:
    pipe = checkout.path.parent / "gate"
    os.mkfifo(pipe)
    hook = checkout.path / ".git/hooks/pre-commit"
    began = checkout.home / "began"
    wait = f"touch {shlex.quote(str(began))}; read -r _ < {shlex.quote(str(pipe))}"
    hook.write_text(f"#!/bin/sh\n# buildguard\n{wait}\nexit 0\n")
    checkout.write("app.txt", "new\n")
    commit = checkout.start("git", "commit", "-qam", "x")
    lock = checkout.path / ".git/index.lock"
    eventually(began.exists, "the hook runs, and the commit holds the lock")
    os.utime(lock, (0, 0))
    finding = advice(checkout)
    pipe.open("w").close()
    assert ended(commit).status == 0
    assert ("git works here" in finding["what"], "rm " in finding["next"]) == (True, False)


def test_a_lock_that_some_process_has_open_is_never_to_be_deleted(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    with lock.open("a") as held:
        holder = subprocess.Popen(["sleep", "60"], stdout=held)
    with holder:
        finding = advice(checkout)
        holder.kill()
    assert (f"sleep has it open (process {holder.pid})" in finding["what"], "rm " in finding["next"]) == (
        True,
        False,
    )


def test_a_git_elsewhere_that_was_told_to_work_here_counts(checkout: Checkout) -> None:
    old_lock(checkout)
    words = ["git", f"--git-dir={checkout.path / '.git'}", "hash-object", "--stdin"]
    with subprocess.Popen(words, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as git:
        finding = advice(checkout)
        git.communicate()
    assert (f"git works here (process {git.pid})" in finding["what"], "rm " in finding["next"]) == (True, False)


def test_a_fresh_lock_is_waited_for(checkout: Checkout) -> None:
    (checkout.path / ".git/index.lock").write_bytes(b"")
    assert "rm " not in advice(checkout)["next"]


def test_a_lock_whose_owner_is_dead_is_found_and_mended(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    lock = old_lock(linked)
    finding = advice(linked)
    if "may be in use" in finding["what"]:
        assert "rm " not in finding["next"]
        pytest.skip(f"who holds a lock cannot be told here: {finding['what']}")
    assert finding["next"] == f"rm {lock}"
    assert "index lock" not in findings(checkout)
    assert mended(linked, "index lock")


def test_processes_that_cannot_be_seen_forbid_to_delete_a_lock(checkout: Checkout) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    if checkout.run(*unshare, "true").status != 0:
        pytest.skip("no pid namespaces to be had here")
    old_lock(checkout)
    done = checkout.run(*unshare, f"{BUILDGUARD} doctor; exit $?", agent=AGENT)
    assert ("may be in use" in done.out, "rm " in done.out) == (True, False)


def killed_while_it_hides_edits(checkout: Checkout, tool: str) -> None:
    """A commit by a real runner, killed outright with its whole group while an unstaged edit is put away."""
    need(named(tool))
    checkout.write("other.txt", "one\n")
    checkout.write("app.txt", "fine\n\n\n\n\n\n\n\nlast\n")
    (checkout.path / ".git/hooks/pre-commit").unlink()
    pipe = checkout.path.parent / "gate"
    os.mkfifo(pipe)
    checkout.write("check.sh", f"echo $$ > {shlex.quote(str(checkout.home / 'pid'))}\nread -r _ < {pipe}\n")
    named(tool).install(checkout)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "all")
    checkout.write("app.txt", "staged\n\n\n\n\n\n\n\nlast\n")
    checkout.ok("add", "app.txt")
    checkout.write("app.txt", "staged\n\n\n\n\n\n\n\nunsaved\n")
    words = ["git", "commit", "-m", "x"]
    environment = checkout.env(BUILDGUARD_CHECK="sh check.sh", BUILDGUARD_AGENT=AGENT)
    git = subprocess.Popen(
        words, cwd=checkout.path, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    pid = checkout.home / "pid"
    eventually(lambda: pid.exists() and bool(pid.read_text().strip()), "the check runs")
    assert "unsaved" not in (checkout.path / "app.txt").read_text()
    os.killpg(git.pid, signal.SIGKILL)
    git.wait()
    eventually(lambda: not lives(int(pid.read_text())), "the check has ended")


@pytest.mark.parametrize("tool", ["pre-commit", "prek", "lefthook"])
def test_edits_that_a_killed_runner_kept_are_found_and_brought_back(checkout: Checkout, tool: str) -> None:
    killed_while_it_hides_edits(checkout, tool)
    assert mended(checkout, "lost edits")
    assert (checkout.path / "app.txt").read_text() == "staged\n\n\n\n\n\n\n\nunsaved\n"


def test_edits_of_another_repository_are_not_ours_to_find(checkout: Checkout, tmp_path: Path) -> None:
    other = new_repository(tmp_path / "other", tmp_path / "home")
    killed_while_it_hides_edits(checkout, "pre-commit")
    # The edits would apply there, but were never made to that file.
    other.write("app.txt", "another\n\n\n\n\n\n\n\nlast\n")
    assert "lost edits" not in findings(other)


def test_edits_that_a_runner_put_back_are_not_lost(checkout: Checkout) -> None:
    need(named("pre-commit"))
    (checkout.path / ".git/hooks/pre-commit").unlink()
    named("pre-commit").install(checkout)
    checkout.ok("add", "-A")
    checkout.write("app.txt", "edited\n")
    checkout.ok("commit", "-q", "-m", "x", agent=AGENT)
    assert list((checkout.home / ".cache/pre-commit").glob("patch*"))
    assert "lost edits" not in findings(checkout)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "y", agent=AGENT)
    checkout.write("app.txt", "fine\n")
    assert "lost edits" not in findings(checkout)


def test_lost_edits_that_do_not_apply_any_more_are_a_note(checkout: Checkout) -> None:
    killed_while_it_hides_edits(checkout, "pre-commit")
    patch = next((checkout.home / ".cache/pre-commit").glob("patch*"))
    made = patch.stat().st_mtime
    checkout.write("app.txt", "quite another\n")
    os.utime(checkout.path / "app.txt", (made, made))
    found = findings(checkout)["lost edits"]
    assert (found["weight"], "do not apply" in found["what"], str(patch) in found["what"]) == ("note", True, True)


def test_a_live_runner_has_lost_nothing(checkout: Checkout) -> None:
    killed_while_it_hides_edits(checkout, "pre-commit")
    patch = next((checkout.home / ".cache/pre-commit").glob("patch*"))
    # We live, and lived when the patch was made.
    patch.rename(patch.with_name(f"{patch.name.rpartition('-')[0]}-{os.getpid()}"))
    assert "lost edits" not in findings(checkout)
