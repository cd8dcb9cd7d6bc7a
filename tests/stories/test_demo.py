"""`buildguard demo`: what it shows, what it verifies, and that nothing of it is left."""

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from testing.support import BUILDGUARD, Checkout, Done, Following, ended, environment, eventually

from buildguard.claims.model import Event, Outcome, Status
from buildguard.commands import demo


@dataclass
class Place:
    """Where a demo runs: `work` is where it is called, `temporary` where it may put what it needs."""

    work: Path
    temporary: Path
    home: Path
    bytecode: Path

    def env(self, **more: str) -> dict[str, str]:
        # A demo is a dozen interpreters: to compile everything in each would take most of its 15 seconds.
        return environment(self.home, TMPDIR=str(self.temporary), PYTHONPYCACHEPREFIX=str(self.bytecode), **more)

    def start(self, *argv: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            argv or (BUILDGUARD, "demo"),
            cwd=self.work,
            env=self.env(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *argv: str, **more: str) -> Done:
        return ended(self.start(*argv, **more))

    @property
    def processes(self) -> list[psutil.Process]:
        """What the demo has started and still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(self.temporary)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @property
    def left(self) -> list[object]:
        """Whatever of it is left: processes and files."""
        return [*self.processes, *self.temporary.rglob("*")]


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder that is no repository, a home without a git identity, and an empty folder for what is temporary."""
    folders = [tmp_path / name for name in ("work", "temporary", "home")]
    for folder in folders:
        folder.mkdir()
    work, temporary, home = folders
    place = Place(work, temporary, home, tmp_path_factory.getbasetemp() / "bytecode")
    yield place
    for process in place.processes:
        process.kill()


def said_by(done: Done, who: str) -> str:
    """The lines of one speaker."""
    return "\n".join(line for line in done.out.splitlines() if re.match(rf"{who} +\|", line))


def wrapped_git(place: Place, script: str) -> str:
    """A PATH on which git is this script; $GIT is the real one."""
    folder = place.work / "programs"
    folder.mkdir()
    git = folder / "git"
    git.write_text(f"#!/bin/sh\nGIT={shlex.quote(shutil.which('git') or '')}\n{script}\n")
    git.chmod(0o755)
    return f"{folder}{os.pathsep}{place.env()['PATH']}"


def test_it_shows_one_claim_the_wait_the_fix_the_wake_up_and_both_commits(place: Place) -> None:
    done = place.run()
    assert done.status == 0, done
    fixer, waiter = said_by(done, "agent-a"), said_by(done, "agent-b")
    assert done.out.count("you are the fixer") == 1
    assert "you are the fixer" in fixer
    assert "waiting: agent-a is fixing" in waiter
    assert "fixed: " in fixer
    assert re.search(r"agent-a fixed it[^|]*\n.*committing again", waiter)
    assert re.search(r"\[main [0-9a-f]+\] Mend greet", fixer)
    assert re.search(r"\[main [0-9a-f]+\] Write agent-b.md", waiter)
    assert "seen: one claim" in done.out


def test_every_line_says_who_speaks_and_a_pipe_gets_no_colour(place: Place) -> None:
    done = place.run(FORCE_COLOR="1", TERM="xterm")
    assert not re.search(r"\x1b", done.both)
    strangers = [
        line for line in done.out.splitlines() if not re.match(r"(demo|agent-[ab]) +\| |buildguard: ", line)
    ]
    assert strangers == []


def test_nothing_of_it_is_left(place: Place) -> None:
    assert place.run().status == 0
    assert place.left == []


def test_its_lines_come_while_it_runs(place: Place) -> None:
    following = Following(place.start())
    following.says("you are the fixer")
    assert following.process.poll() is None
    assert following.ends().status == 0


def test_all_that_it_writes_is_in_one_folder(place: Place) -> None:
    following = Following(place.start())
    seen: set[str] = set()

    def over() -> bool:
        # Python itself tries for a moment whether a file can be made here, under a name of eight characters.
        seen.update(path.name for path in place.temporary.glob("buildguard*"))
        return following.process.poll() is not None

    eventually(over, "the end of the demo")
    assert following.ends().status == 0
    assert len(seen) == 1, seen


@pytest.mark.parametrize(
    "variables",
    [
        {"CI": "true", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "test"},
        {"BUILDGUARD": "0"},
        {"SKIP": "buildguard"},
        {"BUILDGUARD_CHECK": "false", "BUILDGUARD_AGENT": "agent-b", "BUILDGUARD_BUILD": "other"},
        {"BUILDGUARD_DB": "/nowhere/state.db", "BUILDGUARD_ACTIVE": "/nowhere/.git"},
        {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s-1"},
        {"PRE_COMMIT": "1"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/nowhere"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_it_runs_whatever_the_environment_says(place: Place, variables: dict[str, str]) -> None:
    done = place.run(**variables)
    assert done.status == 0, done
    assert "seen: one claim" in done.out


def test_the_users_git_configuration_does_not_reach_it(place: Place) -> None:
    (place.home / ".gitconfig").write_text(
        "[core]\n\thooksPath = /nowhere\n[commit]\n\tgpgSign = true\n[user]\n\tuseConfigOnly = true\n"
    )
    done = place.run()
    assert done.status == 0, done


def test_in_a_repositorys_hook_it_leaves_that_repository_alone(place: Place, checkout: Checkout) -> None:
    checkout.write("app.txt", "staged\n")
    checkout.ok("add", "-A")
    git_dir = checkout.path / ".git"
    before = checkout.ok("rev-parse", "HEAD"), checkout.ok("write-tree"), sorted(git_dir.iterdir())
    done = place.run(
        GIT_DIR=str(git_dir), GIT_INDEX_FILE=str(git_dir / "index"), GIT_WORK_TREE=str(checkout.path), GIT_PREFIX=""
    )
    assert done.status == 0, done
    assert before == (checkout.ok("rev-parse", "HEAD"), checkout.ok("write-tree"), sorted(git_dir.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_early_it_clears_away(place: Place, number: signal.Signals) -> None:
    following = Following(place.start())
    following.says("you are the fixer")
    # A terminal sends Ctrl-C to the whole group; who ends a process names that one.
    send = os.killpg if number == signal.SIGINT else os.kill
    send(following.process.pid, number)
    done = following.ends()
    assert done.status == 130, done
    assert (done.out + done.err).rstrip().endswith("next: buildguard demo")
    assert place.left == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_before_it_has_begun_it_clears_away(place: Place, number: signal.Signals) -> None:
    process = place.start()
    eventually(lambda: bool(list(place.temporary.iterdir())), "a folder for the demo")
    process.send_signal(number)
    assert ended(process).status == 130
    assert place.left == []


def test_killed_outright_its_processes_end_too(place: Place) -> None:
    following = Following(place.start())
    following.says("you are the fixer")
    following.process.kill()
    eventually(lambda: not place.processes, "no process of the demo is left")
    following.ends()


def test_a_terminal_gets_a_colour_for_each_agent(place: Place) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [BUILDGUARD, "demo"], cwd=place.work, env=place.env(TERM="xterm"), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen = b""
    while piece := _read(master):
        seen += piece
    os.close(master)
    assert process.wait() == 0, seen
    colours = {
        name: set(re.findall(rf"(\x1b\[[0-9;]+m){name} +\|".encode(), seen)) for name in ("agent-a", "agent-b")
    }
    assert [len(found) for found in colours.values()] == [1, 1]
    assert colours["agent-a"] != colours["agent-b"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that nobody is left at the other end
        return b""


def test_what_the_agents_pass_on_cannot_move_the_cursor(place: Place) -> None:
    path = wrapped_git(
        place, 'case " $* " in *" Write "*) printf "\\033[2Jgone\\033]0;title\\007\\n" ;; esac\nexec "$GIT" "$@"'
    )
    done = place.run(PATH=path)
    assert done.status == 0, done
    assert "gone" in done.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.out)


def test_a_waiter_that_did_not_wait_is_told_of(place: Place) -> None:
    path = wrapped_git(
        place,
        'case "$BUILDGUARD_AGENT $1" in "agent-b commit") : >"$PWD/../the-other-waits"; shift; '
        'exec "$GIT" commit --no-verify "$@" ;; esac\nexec "$GIT" "$@"',
    )
    done = place.run(PATH=path)
    assert done.status == 1, done
    assert "not seen: agent-b waiting for agent-a" in done.out
    assert done.out.splitlines()[-1] == "next: buildguard demo"
    assert place.left == []


def test_a_git_that_runs_no_hooks_is_told_of_in_time(place: Place) -> None:
    path = wrapped_git(place, 'exec "$GIT" -c core.hooksPath=/dev/null "$@"')
    code = "import sys; from buildguard import demo; sys.exit(demo.demo(3))"
    done = place.run(sys.executable, "-c", code, PATH=path)
    assert done.status == 1, done
    assert "not seen: one claim" in done.out
    assert "timed out" in done.out
    assert place.left == []


def test_without_git_it_says_so(place: Place) -> None:
    done = place.run(PATH=str(place.work))
    assert done.status == 1, done
    assert "git is not installed" in done.both
    assert done.out.splitlines()[-1] == "next: buildguard demo"
    assert place.left == []


def test_with_nowhere_to_put_it_it_says_so(place: Place) -> None:
    code = "import sys, tempfile; tempfile.tempdir = '/nowhere'; from buildguard import demo; sys.exit(demo.demo())"
    done = place.run(sys.executable, "-c", code)
    assert done.status == 1, done
    assert "/nowhere" in done.out
    assert done.out.splitlines()[-1] == "next: df -h"
    assert done.err == ""


def _event(number: int, kind: Outcome, agent: str, other: str | None = None) -> Event:
    return Event(kind, "checkout:.git", Status.FIXING, Status.FIXING, 1, agent, other, id=number)


CLAIM = _event(1, Outcome.CLAIMED, "agent-a")
FIX = _event(2, Outcome.FIXED, "agent-a")
WAIT = _event(3, Outcome.WAITED, "agent-b", "agent-a")
AUTHORS = ["somebody", "somebody", "agent-a", "agent-b"]


def test_a_history_of_all_of_it_lacks_nothing() -> None:
    assert demo.unseen([CLAIM, FIX, WAIT], AUTHORS) == []


@pytest.mark.parametrize(
    ("events", "authors", "missing"),
    [
        ([FIX, WAIT], AUTHORS, "one claim"),
        ([CLAIM, FIX, WAIT, _event(4, Outcome.CLAIMED, "agent-b")], AUTHORS, "there were 2"),
        ([CLAIM, FIX, WAIT, _event(4, Outcome.TAKEN_OVER, "agent-b", "agent-a")], AUTHORS, "there were 2"),
        ([CLAIM, FIX], AUTHORS, "agent-b waiting for agent-a"),
        ([CLAIM, FIX, _event(3, Outcome.WAITED, "agent-b", "agent-c")], AUTHORS, "agent-b waiting for agent-a"),
        ([CLAIM, WAIT], AUTHORS, "one fix"),
        ([CLAIM, _event(2, Outcome.FIXED, "agent-b"), WAIT], AUTHORS, "one fix"),
        ([CLAIM, _event(4, Outcome.FIXED, "agent-a"), WAIT], AUTHORS, "waking up after the fix"),
        ([CLAIM, FIX, WAIT], ["somebody", "agent-a"], "a commit of agent-a, then one of agent-b"),
        ([CLAIM, FIX, WAIT], ["agent-b", "agent-a"], "a commit of agent-a, then one of agent-b"),
    ],
)
def test_what_a_history_lacks_is_named(events: list[Event], authors: list[str], missing: str) -> None:
    assert any(missing in fact for fact in demo.unseen(events, authors))
