"""Whoever is signalled while a hook runs: nothing of the check survives, nobody claims for a commit that is gone,
no lock of ours stays, and the database is sound. With real signals to real runners."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from testing.gate import GATE, Gate
from testing.marked import NOTHING_SURVIVES, Marked
from testing.support import BUILDGUARD, Checkout, eventually
from testing.tools import HEARD, INSTALLS, Tool, named, need, repository

pytestmark = INSTALLS

RUN = "BUILDGUARD_ACTIVE"
CHECK = f"""trap 'exit 1' INT TERM HUP
while [ -p "${GATE}" ]; do sleep 0.1; done &
sh check.sh
"""
"""A check that answers a signal with a plain failure, and has a child that would outlive it."""
FROM_SHELL = "import os, signal, sys\n" + "".join(
    f"signal.signal(signal.SIG{name}, signal.SIG_DFL)\n" for name in ("INT", "HUP", "TERM")
)
"""Signals as a shell in a terminal hands them on, however the tests themselves were started."""


class Commit:
    """B's commit (or another call of git) in a session of its own, with everything that came of it."""

    def __init__(self, checkout: Checkout, folder: Path, *call: str) -> None:
        self.checkout = checkout
        self.heard = folder / "heard"
        self.heard.touch()
        self.gate = Gate(folder / "gate")
        self.marked = Marked()
        variables = {**self.gate.variables, **self.marked.variables, HEARD: str(self.heard)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", FROM_SHELL + "os.execvp('git', sys.argv[1:])", "git", *call],
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
        return self.marked.living(lambda environment: RUN in environment or not of_the_check)

    def says(self, words: str) -> None:
        """Return once the hook has said that."""
        eventually(lambda: words in self.heard.read_text() or self.process.poll() is not None, repr(words))
        assert words in self.heard.read_text(), self.heard.read_text()

    def target(self, whom: str) -> Callable[[signal.Signals], None]:
        """What sends a signal to one of them."""
        if whom == "the process group":
            return lambda number: os.killpg(self.process.pid, number)
        pid = {"git": lambda: self.process.pid, "buildguard": self._buildguard, "the runner": self._runner}[whom]()
        return lambda number: os.kill(pid, number)

    def _buildguard(self) -> int:
        hooks = {}
        for process in self.living():
            # What the hook starts comes and goes while we look.
            with suppress(psutil.Error):
                if process.cmdline()[-1:] == ["hook"]:
                    hooks[process.pid] = process.ppid()
        # The guardian is a fork: the same command line, below buildguard itself.
        return next(pid for pid, parent in hooks.items() if parent not in hooks)

    def _runner(self) -> int:
        for process in self.living():
            with suppress(psutil.Error):
                if process.name() == "lefthook":
                    return process.pid
        return psutil.Process(self.process.pid).children()[0].pid

    def clean_up(self) -> None:
        """Kill what a failed test left."""
        self.gate.open()
        self.marked.kill()
        self.process.wait()


class Field:
    """A repository that a tool guards, with a broken change staged, and the commits that were tried in it."""

    def __init__(self, tool: Tool, folder: Path) -> None:
        need(tool)
        self.folder = folder
        self.checkout = repository(folder / "guarded", folder / "home", tool, check="sh trapped.sh")
        self.checkout.write("trapped.sh", CHECK)
        self.checkout.write("app.txt", "BROKEN\n")
        self.checkout.ok("add", "-A")
        self.commits: list[Commit] = []

    def commit(self, *call: str) -> Commit:
        """Start B's commit or call of git, and return once its check stands at the gate."""
        commit = Commit(self.checkout, self.folder, *(call or ("commit", "-m", "B's")))
        self.commits.append(commit)
        commit.gate.wait()
        assert commit.living(of_the_check=True)
        return commit


Guard = Callable[[str], Field]


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A field for the tool of that name; what is left on it is cleaned up."""
    fields: list[Field] = []

    def field(name: str) -> Field:
        fields.append(Field(named(name), tmp_path))
        return fields[-1]

    yield field
    for one in fields:
        for commit in one.commits:
            commit.clean_up()


def assert_nothing_is_left(commit: Commit) -> None:
    eventually(lambda: not commit.living(of_the_check=True), "no process of the check lives", NOTHING_SURVIVES)
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


GIT, BUILDGUARD_ITSELF, RUNNER, GROUP = "git", "buildguard", "the runner", "the process group"
DURING_THE_CHECK = [
    # The native hook: everybody gets everything, here or during a wait.
    ("native hook", GIT, "SIGTERM"),
    ("native hook", GIT, "SIGHUP"),
    ("native hook", BUILDGUARD_ITSELF, "SIGKILL"),
    ("native hook", BUILDGUARD_ITSELF, "SIGINT"),
    ("native hook", GROUP, "SIGKILL"),
    ("native hook", GROUP, "SIGINT"),
    # The others: the runner that stands between, and how it hands a signal on.
    ("pre-commit", RUNNER, "SIGTERM"),
    ("pre-commit", RUNNER, "SIGKILL"),
    ("pre-commit", GROUP, "SIGINT"),
    ("prek", RUNNER, "SIGINT"),
    ("prek", GROUP, "SIGHUP"),
    ("prek", GIT, "SIGKILL"),
    ("lefthook", RUNNER, "SIGTERM"),
    ("husky", RUNNER, "SIGKILL"),
]
DURING_A_WAIT = [
    ("native hook", GIT, "SIGKILL"),
    ("native hook", GIT, "SIGINT"),
    ("native hook", BUILDGUARD_ITSELF, "SIGTERM"),
    ("native hook", BUILDGUARD_ITSELF, "SIGHUP"),
    ("native hook", GROUP, "SIGTERM"),
    ("native hook", GROUP, "SIGHUP"),
    ("pre-commit", GIT, "SIGKILL"),
    ("prek", RUNNER, "SIGTERM"),
    ("lefthook", GIT, "SIGTERM"),
]


@pytest.mark.parametrize(("tool", "whom", "name"), DURING_THE_CHECK)
def test_a_signal_during_the_check_leaves_nothing_behind(guard: Guard, tool: str, whom: str, name: str) -> None:
    commit = guard(tool).commit()
    commit.target(whom)(signal.Signals[name])
    assert_nothing_is_left(commit)
    assert claims(commit) == []
    # And nothing keeps the next one from claiming.
    commit.gate.open()
    assert commit.checkout.run(BUILDGUARD, "run", agent="agent-c").status == 1
    assert claims(commit) == ["agent-c"]


@pytest.mark.parametrize(("tool", "whom", "name"), DURING_A_WAIT)
def test_a_signal_during_a_wait_leaves_nothing_behind(guard: Guard, tool: str, whom: str, name: str) -> None:
    field = guard(tool)
    assert field.checkout.run(BUILDGUARD, "run", agent="agent-a").status == 1
    commit = field.commit()
    commit.gate.open()
    commit.says("waiting: agent-a is fixing")
    commit.target(whom)(signal.Signals[name])
    assert_nothing_is_left(commit)
    assert commit.checkout.run(BUILDGUARD, "release", "--gave-up", agent="agent-a").status == 0
    assert claims(commit) == ["agent-a"]


@pytest.mark.parametrize("tool", ["native hook", "pre-commit", "prek"])
def test_a_check_that_fails_right_after_git_was_killed_claims_nothing(guard: Guard, tool: str) -> None:
    commit = guard(tool).commit()
    commit.process.kill()
    commit.process.wait()
    commit.gate.open()
    assert_nothing_is_left(commit)
    assert claims(commit) == []


def test_a_push_whose_git_was_killed_claims_nothing(guard: Guard, tmp_path: Path) -> None:
    field = guard("native hook")
    hook = field.checkout.path / ".git" / "hooks" / "pre-commit"
    hook.rename(hook.with_name("pre-push"))
    bare = Checkout(tmp_path / "bare", field.checkout.home)
    bare.path.mkdir()
    bare.ok("init", "-q", "--bare")
    push = field.commit("push", str(bare.path), "main")
    push.process.kill()
    push.process.wait()
    push.gate.open()
    assert_nothing_is_left(push)
    assert claims(push) == []
