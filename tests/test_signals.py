"""Whoever is signalled while a hook runs: nothing of the check survives, nobody claims for a commit that is gone,
no lock of ours stays, and the database is sound. With real signals to real runners."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from support import BUILDGUARD, Checkout, eventually
from tools import GATE, HEARD, Gate, Tool, named, need, repository

NOTHING_SURVIVES = 2.0
"""Seconds after which no process of the check may live: the promise itself."""
BUSY_MACHINE = 3
"""How much more a machine is given that has more to do than it has processors."""
MARK = "BUILDGUARD_TEST_MARK"
RUN = "BUILDGUARD_RUN"
CHECK = """trap 'exit 1' INT TERM HUP
sleep 300 &
sh check.sh
"""
"""A check that answers a signal with a plain failure, and has a child that outlives it."""
FROM_SHELL = "import os, signal, sys\n" + "".join(
    f"signal.signal(signal.SIG{name}, signal.SIG_DFL)\n" for name in ("INT", "HUP", "TERM")
)
"""Signals as a shell in a terminal hands them on, however the tests themselves were started."""
SIGNALS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGKILL")


class Commit:
    """B's commit in a session of its own, with everything that came of it."""

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        self.checkout = checkout
        self.heard = folder / "heard"
        self.heard.touch()
        self.gate = Gate(folder / "gate")
        self.mark = uuid.uuid4().hex
        variables = {GATE: str(self.gate.path), HEARD: str(self.heard), MARK: self.mark}
        self.process = subprocess.Popen(
            [sys.executable, "-c", FROM_SHELL + "os.execvp('git', sys.argv[1:])", "git", "commit", "-m", "B's"],
            cwd=checkout.path,
            env=checkout.env("agent-b", **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def living(self, *, of_the_check: bool = False) -> list[psutil.Process]:
        """What came of the commit and lives; of the check only, if so asked."""
        self.process.poll()
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                variables = process.environ()
                ours = variables.get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE
                if ours and (RUN in variables or not of_the_check):
                    found.append(process)
        return found

    def target(self, whom: str) -> Callable[[signal.Signals], None]:
        """What sends a signal to one of them."""
        if whom == "the process group":
            return lambda number: os.killpg(self.process.pid, number)
        pid = {"git": lambda: self.process.pid, "buildguard": self._buildguard, "the runner": self._runner}[whom]()
        return lambda number: os.kill(pid, number)

    def _buildguard(self) -> int:
        hooks = {process.pid: process for process in self.living() if process.cmdline()[-1:] == ["hook"]}
        # The guardian is a fork: the same command line, below buildguard itself.
        return next(pid for pid, process in hooks.items() if process.ppid() not in hooks)

    def _runner(self) -> int:
        lefthook = [process.pid for process in self.living() if process.name() == "lefthook"]
        return (lefthook or [child.pid for child in psutil.Process(self.process.pid).children()])[0]

    def clean_up(self) -> None:
        """Kill what a failed test left."""
        self.gate.open()
        for process in self.living():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()


Start = Callable[[Tool], Commit]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start B's commit of a broken change, in a repository that the tool guards."""
    commits: list[Commit] = []

    def commit(tool: Tool) -> Commit:
        need(tool)
        folder = tmp_path / "guarded"
        checkout = Checkout(folder, tmp_path / "home") if folder.exists() else guarded(tool, tmp_path)
        commits.append(Commit(checkout, tmp_path))
        return commits[-1]

    yield commit
    for one in commits:
        one.clean_up()


def guarded(tool: Tool, folder: Path) -> Checkout:
    checkout = repository(folder / "guarded", folder / "home", tool, check="sh trapped.sh")
    checkout.write("trapped.sh", CHECK)
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "-A")
    return checkout


def patience() -> float:
    crowded = os.getloadavg()[0] > (os.cpu_count() or 1)
    return NOTHING_SURVIVES * (BUSY_MACHINE if crowded else 1)


def assert_nothing_is_left(commit: Commit) -> None:
    eventually(lambda: not commit.living(of_the_check=True), "no process of the check lives", patience())
    eventually(lambda: not commit.living(), "no process of the commit lives")
    git_dir = commit.checkout.path / ".git"
    assert [path.name for path in git_dir.rglob("*.lock")] == []
    path = git_dir / "buildguard" / "state.db"
    # Who never wrote has no database: nothing can be wrong with it.
    with closing(sqlite3.connect(path if path.exists() else ":memory:")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def claims(commit: Commit) -> list[str]:
    """Who has ever claimed here."""
    log = commit.checkout.run(BUILDGUARD, "log", "--json", agent="onlooker")
    return [event["agent"] for event in json.loads(log.out)["events"] if event["kind"] in ("claimed", "taken_over")]


def cells(*cells: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]) -> list[tuple[str, str, str]]:
    return [
        (tool, whom, name)
        for tools, targets, names in cells
        for tool in tools
        for whom in targets
        for name in names
    ]


ALL = ("git", "buildguard", "the process group")
DURING_THE_CHECK = cells(
    (("native hook",), ALL, SIGNALS),
    (("pre-commit", "prek"), (*ALL, "the runner"), SIGNALS),
    (("lefthook", "husky"), ("git", "the process group", "the runner"), ("SIGTERM", "SIGKILL")),
)
DURING_A_WAIT = cells(
    (("native hook",), ALL, SIGNALS),
    (("pre-commit", "prek"), ("git", "the runner"), ("SIGTERM", "SIGKILL")),
    (("lefthook", "husky"), ("git",), ("SIGKILL",)),
)


@pytest.mark.parametrize(("tool", "whom", "name"), DURING_THE_CHECK)
def test_a_signal_during_the_check_leaves_nothing_behind(start: Start, tool: str, whom: str, name: str) -> None:
    commit = start(named(tool))
    eventually(commit.gate.reached, "the check runs")
    assert commit.living(of_the_check=True)
    commit.target(whom)(signal.Signals[name])
    assert_nothing_is_left(commit)
    assert claims(commit) == []
    # And nothing keeps the next one from claiming.
    commit.gate.open()
    assert commit.checkout.run(BUILDGUARD, "run", agent="agent-c").status == 1
    assert claims(commit) == ["agent-c"]


@pytest.mark.parametrize(("tool", "whom", "name"), DURING_A_WAIT)
def test_a_signal_during_a_wait_leaves_nothing_behind(
    start: Start, tool: str, whom: str, name: str, tmp_path: Path
) -> None:
    need(named(tool))
    assert guarded(named(tool), tmp_path).run(BUILDGUARD, "run", agent="agent-a").status == 1
    commit = start(named(tool))
    eventually(commit.gate.reached, "the check runs")
    commit.gate.open()
    eventually(lambda: "waiting: agent-a is fixing" in commit.heard.read_text(), "B waits")
    commit.target(whom)(signal.Signals[name])
    assert_nothing_is_left(commit)
    assert commit.checkout.run(BUILDGUARD, "release", "--gave-up", agent="agent-a").status == 0
    assert claims(commit) == ["agent-a"]


@pytest.mark.parametrize("tool", ["native hook", "pre-commit", "prek"])
def test_a_check_that_fails_right_after_git_was_killed_claims_nothing(start: Start, tool: str) -> None:
    commit = start(named(tool))
    eventually(commit.gate.reached, "the check runs")
    commit.process.kill()
    commit.process.wait()
    commit.gate.open()
    assert_nothing_is_left(commit)
    assert claims(commit) == []
