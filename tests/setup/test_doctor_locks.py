"""`buildguard doctor` on locks of git's that stand: since when, who may hold them, and never a word of deleting."""

import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from testing.doctor import AGENT, findings
from testing.support import BUILDGUARD, Checkout, ended, eventually, new_repository

from buildguard.agents.processes import name_of, sees_all
from buildguard.setup.locks import of_many_machines

MEND = "buildguard doctor --mend"
pytestmark = pytest.mark.skipif(not sees_all(), reason="a container: no lock is ever known to be left behind here")


def look(lock: Path) -> str:
    return f"ls -l {shlex.quote(str(lock))}"


def old_lock(checkout: Checkout, name: str = "index.lock") -> Path:
    """A lock that was left behind an hour ago."""
    lock = Path(checkout.ok("rev-parse", "--path-format=absolute", "--git-path", name))
    lock.write_bytes(b"")
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))
    return lock


def while_a_commit_runs(checkout: Checkout) -> Mapping[str, Mapping[str, str]]:
    """What doctor finds while `git commit -a` holds the index lock for a hook that began an hour ago."""
    pipe, began = checkout.home / "gate", checkout.home / "began"
    os.mkfifo(pipe)
    hook = Path(checkout.ok("rev-parse", "--path-format=absolute", "--git-path", "hooks")) / "pre-commit"
    wait = f"touch {shlex.quote(str(began))}; read -r _ < {shlex.quote(str(pipe))}"
    hook.write_text(f"#!/bin/sh\n# buildguard\n{wait}\nexit 0\n")
    hook.chmod(0o755)
    checkout.write("app.txt", "new\n")
    commit = checkout.start("git", "commit", "-qam", "x")
    lock = Path(checkout.ok("rev-parse", "--absolute-git-dir")) / "index.lock"
    eventually(began.exists, "the hook runs, and the commit holds the lock")
    os.utime(lock, (time.time() - 3600, time.time() - 3600))
    try:
        return findings(checkout)
    finally:
        pipe.open("w").close()
        assert ended(commit).status == 0


def test_the_lock_of_a_commit_that_still_runs_is_waited_for(checkout: Checkout) -> None:
    finding = while_a_commit_runs(checkout)["index.lock"]
    assert ("git works here (process " in finding["what"], finding["next"]) == (
        True,
        "sleep 10 && buildguard doctor",
    )


def test_a_commit_in_a_submodule_is_seen(checkout: Checkout) -> None:
    above = new_repository(checkout.path.parent / "above", checkout.home)
    above.ok("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(checkout.path), "sub")
    finding = while_a_commit_runs(Checkout(above.path / "sub", above.home))["index.lock"]
    assert "git works here (process " in finding["what"]


def test_a_git_that_lives_on_beside_an_editor_holds_no_lock(checkout: Checkout) -> None:
    old_lock(checkout)
    words = ["git", "cat-file", "--batch"]
    with subprocess.Popen(words, cwd=checkout.path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as lasting:
        finding = findings(checkout)["index.lock"]
        lasting.communicate()
    assert "no git works here" in finding["what"]


def test_the_git_that_calls_us_holds_no_lock(checkout: Checkout) -> None:
    old_lock(checkout)
    done = checkout.git("buildguard", "doctor", agent=AGENT)
    assert ("no git works here" in done.out, done.last) == (True, f"next: {MEND}")


@pytest.mark.parametrize(
    "name", ["index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", "config.lock"]
)
def test_a_lock_that_stands_is_told_with_its_age_and_a_way_to_look(checkout: Checkout, name: str) -> None:
    lock = old_lock(checkout, name)
    finding = findings(checkout)[name]
    assert finding["what"].startswith(f"{lock} has been there for 60 min; no git works here")
    assert finding["next"] == (MEND if name == "index.lock" else look(lock))
    assert checkout.run("sh", "-c", look(lock)).status == 0
    assert lock.exists()


def test_the_lock_of_another_work_tree_is_its_own_affair(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    old_lock(linked)
    assert findings(checkout) == {}
    assert findings(linked).keys() == {"index.lock"}


def test_a_lock_from_the_future_is_told_too(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    os.utime(lock, (time.time() + 3600, time.time() + 3600))
    assert "has been there for 0.0 s" in findings(checkout)["index.lock"]["what"]


def test_where_other_containers_cannot_be_seen_no_lock_is_removed(checkout: Checkout) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    if checkout.run(*unshare, "true").status != 0:
        pytest.skip("no pid namespaces to be had here")
    lock = old_lock(checkout)
    done = checkout.run(*unshare, f"'{BUILDGUARD}' doctor --mend; exit $?", agent=AGENT)
    assert "a git in another container, which cannot be seen from here, may hold it" in done.out
    assert (done.last, lock.exists()) == (f"next: {look(lock)}", True)


BOUND = 'mount --bind "$1" /mnt && cd /mnt && exec git hash-object --stdin'


@pytest.mark.parametrize(
    "words",
    [
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", BOUND, "sh", "REPOSITORY"],
        ["git", "--git-dir=REPOSITORY/.git", "hash-object", "--stdin"],
        ["env", "GIT_DIR=REPOSITORY/.git", "git", "hash-object", "--stdin"],
    ],
    ids=["in a container", "by option", "by variable"],
)
def test_the_lock_of_a_git_that_works_here_from_another_folder_is_not_removed(
    checkout: Checkout, words: list[str]
) -> None:
    if words[0] == "unshare" and checkout.run(*words[:4], "true").status != 0:
        pytest.skip("no mount namespaces to be had here")
    lock = old_lock(checkout)
    words = [word.replace("REPOSITORY", str(checkout.path)) for word in words]
    with subprocess.Popen(words, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as working:
        eventually(lambda: name_of(working.pid) == "git", "git has started")
        done = checkout.buildguard("doctor", "--mend", agent=AGENT)
        working.communicate()
    assert (f"git works here (process {working.pid})" in done.out, lock.exists()) == (True, True)


@pytest.mark.parametrize(
    ("kind", "shared"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False), ("nfs", False)]
)
def test_a_file_system_of_many_machines_is_known(kind: str, shared: bool) -> None:
    device = (9, 1) if kind == "nfs" else (0, 51)
    line = f"36 35 0:51 / /home rw,noatime shared:1 - {kind} server:/home rw\n"
    assert of_many_machines(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n{line}", os.makedev(*device)) is shared


def test_an_old_lock_that_no_git_holds_is_removed_when_asked(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    done = checkout.buildguard("doctor", "--mend", agent=AGENT)
    assert (done.status, lock.exists()) == (0, False)
    assert f"removed {lock}: it was 60 min old, and no git works here" in done.out


def test_a_lock_that_a_git_may_hold_is_not_removed(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    words = ["git", "hash-object", "--stdin"]
    with subprocess.Popen(words, cwd=checkout.path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as working:
        checkout.buildguard("doctor", "--mend", agent=AGENT)
        assert lock.exists()
        working.communicate()


def test_a_young_lock_is_not_removed(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    os.utime(lock, (time.time() - 120, time.time() - 120))
    assert "index.lock" in checkout.buildguard("doctor", "--mend", agent=AGENT).out
    assert lock.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_an_old_lock_of_another_user_is_not_removed(checkout: Checkout) -> None:
    lock = old_lock(checkout)
    os.chown(lock, 12345, -1)
    checkout.buildguard("doctor", "--mend", agent=AGENT)
    assert lock.exists()
