"""One scripted agent of the fleet: it wants one commit through, under one policy, and fixes what is its to fix.

Called as `python fleet_agent.py POLICY NAME FOLDER`; the plan of the run is in `plan.json` beside the log.
"""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Plan:
    """The run's times, in seconds of its own scale."""

    folder: str
    edit: float
    sleep: float
    stale: float


class Agent:
    """What all policies share: the check, the fix, the commit, and a log of facts with times."""

    def __init__(self, name: str, tree: Path, plan: Plan) -> None:
        self.name, self.tree, self.plan = name, tree, plan
        self.folder = Path(plan.folder)
        self.own = f"private-{name}.txt"

    def log(self, what: str) -> None:
        """Append one fact; one short write, so that lines of several processes never mix."""
        line = f"{time.monotonic()} {self.name} {what}\n".encode()
        descriptor = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)

    def run(self, *argv: str) -> tuple[int, str]:
        """Run a command in the work tree; its status and all that it said."""
        environment = {**os.environ, "BUILDGUARD_AGENT": self.name, "FLEET_AGENT": self.name}
        done = subprocess.run(
            argv, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    def check(self) -> tuple[bool, str]:
        """Run the check by hand."""
        status, said = self.run("sh", "check.sh")
        return status == 0, said

    def commit_own(self, *options: str) -> bool:
        """Commit this agent's own file, again while another commit of the same work tree is in the way."""
        while True:
            status, said = self.run("git", "commit", *options, "-q", "-m", f"{self.name}: work", "--", self.own)
            if status == 0:
                return True
            if "lock" not in said:
                return "nothing to commit" in said or "nothing added" in said

    def mend(self, said: str, *options: str) -> None:
        """Fix what the check names, if it is this agent's or everybody's; each takes its time to edit."""
        if f"test_own[{self.name}]" in said:
            self.log("mends own")
            time.sleep(self.plan.edit / 2)
            (self.tree / self.own).write_text(f"{self.name} mended\n")
        if "test_app" in said:
            self.log("mends app")
            self.log("fixing")
            time.sleep(self.plan.edit)
            (self.tree / "app.txt").write_text("fine\n")
            while self.run("git", "commit", *options, "-q", "-m", f"{self.name}: fix", "--", "app.txt")[0] != 0:
                if self.run("git", "diff", "--quiet", "HEAD", "--", "app.txt")[0] == 0:
                    break  # another agent of this work tree has committed the same fix
            self.log("fixed")


def none(agent: Agent) -> None:
    """No coordination: whoever sees it broken fixes it."""
    while True:
        passed, said = agent.check()
        if passed:
            agent.commit_own("--no-verify")
            return
        agent.mend(said, "--no-verify")


def flock(agent: Agent) -> None:
    """A plain flock around the check: one check at a time, and nothing else."""
    while True:
        with (agent.folder / "flock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            passed, said = agent.check()
        if passed:
            agent.commit_own("--no-verify")
            return
        agent.mend(said, "--no-verify")


def first_form(agent: Agent) -> None:
    """The pattern's first published form: claim or sleep a fixed time; stale by the first failure's age; whoever
    passes marks the build passing."""
    database = sqlite3.connect(agent.folder / "first.db", timeout=60, isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS build (id INTEGER PRIMARY KEY, status, fixer, broken_since)")
    database.execute("INSERT OR IGNORE INTO build VALUES (1, 'passing', NULL, NULL)")
    while True:
        passed, said = agent.check()
        if passed:
            database.execute("UPDATE build SET status = 'passing', fixer = NULL, broken_since = NULL")
            agent.commit_own("--no-verify")
            return
        now = time.monotonic()
        won = database.execute(
            "UPDATE build SET status = 'fixing', fixer = ?, broken_since = coalesce(broken_since, ?)"
            " WHERE status != 'fixing' OR fixer = ? OR ? - broken_since > ?",
            (agent.name, now, agent.name, now, agent.plan.stale),
        )
        if won.rowcount:
            agent.mend(said, "--no-verify")
            continue
        agent.log(f"waits {database.execute('SELECT fixer FROM build').fetchone()[0]}")
        time.sleep(agent.plan.sleep)


def buildguard(agent: Agent) -> None:
    """buildguard, as an agent is told to use it: commit through it, do what it says."""
    while True:
        status, said = agent.run("buildguard", "commit", "-q", "-m", f"{agent.name}: work", "--", agent.own)
        for line in said.splitlines():
            if line.startswith("buildguard: waiting: ") and " is fixing" in line:
                agent.log(f"waits {line.split()[2]}")
        if status == 0:
            return
        command = next((line[6:] for line in reversed(said.splitlines()) if line.startswith("next: ")), "")
        if "cherry-pick" in command:
            agent.run("sh", "-c", command)
        elif status == 1 and "yours to fix" in said:
            agent.mend(said)


POLICIES: dict[str, Callable[[Agent], None]] = {
    "no coordination": none,
    "flock": flock,
    "first form": first_form,
    "buildguard": buildguard,
}


def main(policy: str, name: str, tree: str, plan: str) -> None:
    """Be one agent: write the file to be committed, line up, and go."""
    told = Plan(**json.loads(Path(plan).read_text()))
    agent = Agent(name, Path(tree), told)
    print("ready", flush=True)
    sys.stdin.readline()
    POLICIES[policy](agent)
    agent.log("committed")


if __name__ == "__main__":
    main(*sys.argv[1:])
