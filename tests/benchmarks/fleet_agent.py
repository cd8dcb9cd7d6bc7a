"""One scripted agent of the fleet: it wants one commit through, under one policy, and fixes what is its to fix.

Called as `python fleet_agent.py POLICY NAME TREE PLAN`, PLAN being the file with the run's times.
"""

import fcntl
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 100
"""Commands of buildguard's, or checks, after which an agent gives up: a livelock is a failed benchmark. The first
form may sleep almost that often before the fleet itself is given up."""
GIT_PATIENCE = 60.0
"""Seconds for which git is tried again while others of the same work tree are in its way."""
FIX = "fix"
"""What the subject of each commit of a fix ends in."""
_FAILED = re.compile(r"FAILED tests/test_(app|own)\.py::test_(?:app|own\[(\w+)\])")


@dataclass(frozen=True)
class Plan:
    """The run's times, in seconds of its own scale."""

    folder: str
    edit: float
    sleep: float
    stale: float


class Agent:
    """What all policies share: the check, the edits, plain commits, and a log of facts with times."""

    def __init__(self, name: str, tree: Path, plan: Plan) -> None:
        self.name, self.tree, self.plan = name, tree, plan
        self.folder = Path(plan.folder)
        self.own = f"private-{name}.txt"
        self.heard = ""
        self._rounds = ROUNDS

    def log(self, what: str) -> None:
        """Append one fact; one short write, so that lines of several processes never mix."""
        line = f"{time.monotonic()} {self.name} {what}\n".encode()
        descriptor = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)

    def rounds(self) -> Iterator[None]:
        """The rounds that this agent has left; fails loudly when there are none, instead of going on for ever."""
        while self._rounds > 0:
            self._rounds -= 1
            yield
        raise RuntimeError(f"{self.name} is not through after {ROUNDS} rounds; the last output:\n{self.heard}")

    def run(self, *argv: str, hear: Callable[[str], None] | None = None) -> tuple[int, str]:
        """Run a command in the work tree; its status and all that it said. `hear` gets each line as it comes."""
        # For the check, which notes for whom it ran; who it is the agent itself has to say.
        environment = {**os.environ, "FLEET_AGENT": self.name}
        lines: list[str] = []
        with subprocess.Popen(
            argv,
            cwd=self.tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if hear is not None:
                    hear(line)
        self.heard = "".join(lines)
        return process.returncode, self.heard

    def check(self) -> tuple[bool, str]:
        """Run the check by hand."""
        status, said = self.run("sh", "check.sh")
        return status == 0, said

    def edit_app(self) -> None:
        """Edit what is everybody's."""
        time.sleep(self.plan.edit)
        self._write("app.txt", "fine\n")

    def edit_own(self) -> None:
        """Edit what is this agent's alone."""
        time.sleep(self.plan.edit / 2)
        self._write(self.own, f"{self.name} mended\n")

    def _write(self, path: str, text: str) -> None:
        """In one step: another agent's git must not find half of it and commit that."""
        aside = self.folder / f"{self.name}.aside"
        aside.write_text(text)
        aside.replace(self.tree / path)

    def commit(self, what: str, path: str) -> None:
        """Commit one file past the hook. Nothing to do if another agent of this work tree has just done it."""
        self._insist(path, "HEAD", "commit", "--no-verify", "-q", "-m", f"{self.name}: {what}", "--", path)

    def take_fix(self) -> bool:
        """Take the fix if there is a commit of one on any branch, for who coordinates without buildguard. Whether
        there is one."""
        found = self.run("git", "log", "--all", "-1", "--format=%H", f"--grep=: {FIX}$")[1].strip()
        if not found:
            return False
        if not self._is_in("app.txt", found):
            self._insist("app.txt", found, "checkout", found, "--", "app.txt")
            self.commit("take", "app.txt")
            self.log("takes")
        return True

    def _insist(self, path: str, commit: str, *arguments: str) -> None:
        """Run git until it succeeds or `commit` has the file as it lies in the work tree: another git of the same
        work tree may be in the way, or faster."""
        deadline = time.monotonic() + GIT_PATIENCE
        while True:
            status, said = self.run("git", *arguments)
            if status == 0 or self._is_in(path, commit):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: git {arguments} ended with {status} for long enough:\n{said}")
            time.sleep(0.02)

    def is_committed(self, path: str) -> bool:
        """Whether HEAD has that file as it lies in the work tree."""
        return self._is_in(path, "HEAD")

    def _is_in(self, path: str, commit: str) -> bool:
        return self.run("git", "diff", "--quiet", commit, "--", path)[0] == 0

    def sample(self, green: Callable[[], bool]) -> None:
        """Note the HEAD that is said to be good, if it is and did not move while that was asked. Whether it really
        is good is seen when the fleet has ended."""
        head = self.run("git", "rev-parse", "HEAD")[1]
        if green() and head == self.run("git", "rev-parse", "HEAD")[1]:
            self.log(f"green {head.strip()}")

    def mend(self, said: str) -> None:
        """Mend what the check names, for who coordinates without buildguard: what is everybody's first."""
        named = failures(said)
        if "app" in named and not self.take_fix():
            self.log("fixing")
            self.edit_app()
            self.commit(FIX, "app.txt")
            self.log("fixed")
        if f"own-{self.name}" in named:
            self.edit_own()


def failures(said: str) -> set[str]:
    """What the last check in an output named: `app`, and `own-` with the name of whose it is. An earlier check in
    it may have named what has been fixed since."""
    named: set[str] = set()
    ended = True
    for line in said.splitlines():
        match = _FAILED.match(line)
        if match is None:
            ended = ended or line.startswith("buildguard: ")
            continue
        named = set() if ended else named
        named.add("app" if match[1] == "app" else f"own-{match[2]}")
        ended = False
    return named


def none(agent: Agent) -> None:
    """No coordination: whoever sees it broken fixes it."""
    for _ in agent.rounds():
        passed, said = agent.check()
        if passed:
            break
        agent.mend(said)
    agent.commit("work", agent.own)


def flock(agent: Agent) -> None:
    """A plain flock around the check: one check at a time, and nothing else."""
    for _ in agent.rounds():
        with (agent.folder / "flock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            agent.take_fix()
            passed, said = agent.check()
        if passed:
            break
        agent.mend(said)
    agent.commit("work", agent.own)


def first_form(agent: Agent) -> None:
    """The pattern's first published form: claim or sleep a fixed time; stale by the first failure's age; whoever
    passes marks the build passing."""
    with closing(sqlite3.connect(agent.folder / "first.db", timeout=60, isolation_level=None)) as database:
        _first_form(agent, database)
    agent.commit("work", agent.own)


def _first_form(agent: Agent, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS build (id INTEGER PRIMARY KEY, status, fixer, broken_since)")
    database.execute("INSERT OR IGNORE INTO build VALUES (1, 'passing', NULL, NULL)")
    for _ in agent.rounds():
        passed, said = agent.check()
        if passed:
            database.execute("UPDATE build SET status = 'passing', fixer = NULL, broken_since = NULL")
            agent.sample(lambda: True)
            return
        now = time.monotonic()
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "UPDATE build SET status = 'fixing', fixer = ?, broken_since = coalesce(broken_since, ?)"
            " WHERE status != 'fixing' OR fixer = ? OR ? - broken_since > ?",
            (agent.name, now, agent.name, now, agent.plan.stale),
        )
        fixer = database.execute("SELECT fixer FROM build").fetchone()[0]
        database.execute("COMMIT")
        if fixer == agent.name:
            agent.mend(said)
            continue
        agent.log(f"waits {fixer}")
        time.sleep(agent.plan.sleep)
        agent.take_fix()


def buildguard(agent: Agent) -> None:
    """buildguard, as an agent is told to use it: commit through it, mend what is said to be one's own to fix, and
    run each `next:` line as it stands; where there is none, commit again."""
    own = f"buildguard commit --agent {agent.name} -q -m '{agent.name}: work' -- {agent.own}"
    command, delivered, fixing = own, False, False
    for _ in agent.rounds():
        status, said = agent.run("sh", "-c", command, hear=lambda line: _note_wait(agent, line))
        delivered = delivered or (status == 0 and command.endswith(own))
        if fixing:
            agent.sample(lambda: _says_passing(agent))
            if agent.is_committed("app.txt"):
                agent.log("fixed")
                fixing = False
        following = [line[6:] for line in said.splitlines() if line.startswith("next: ")]
        if "buildguard: fix it, then run the next line" in said:
            fixing = _mend(agent, said, fixing)
        elif status and not following:
            raise RuntimeError(f"{agent.name} was not told what to do next by `{command}`:\n{said}")
        if delivered and not following:
            return
        command = following[-1] if following else own


def _says_passing(agent: Agent) -> bool:
    """Whether nothing counts as broken where this agent is; the gate says no more than that."""
    gate, said = agent.run("buildguard", "status", "--json", "--exit-code", "--agent", agent.name)
    return gate == 0 or json.loads(said)["status"] == "passing"


def _note_wait(agent: Agent, line: str) -> None:
    """Log a wait for a fixer when it begins."""
    if match := re.match(r"buildguard: waiting: (\S+) is fixing", line):
        agent.log(f"waits {match[1]}")


def _mend(agent: Agent, said: str, fixing: bool) -> bool:
    """Mend what the check named; whether this agent is at the shared breakage from now on."""
    named = failures(said)
    if "app" in named:
        if not fixing:
            agent.log("fixing")
        agent.edit_app()
    if f"own-{agent.name}" in named:
        agent.edit_own()
    return fixing or "app" in named


POLICIES: dict[str, Callable[[Agent], None]] = {
    "no coordination": none,
    "flock": flock,
    "first form": first_form,
    "buildguard": buildguard,
}


def main(policy: str, name: str, tree: str, plan: str) -> None:
    """Be one agent: line up, go, and log the end."""
    agent = Agent(name, Path(tree), Plan(**json.loads(Path(plan).read_text())))
    print("ready", flush=True)
    sys.stdin.readline()
    agent.log("starts")
    POLICIES[policy](agent)
    agent.log("committed")


if __name__ == "__main__":
    main(*sys.argv[1:])
