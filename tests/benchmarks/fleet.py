"""The fleet: N agents as real processes, one shared breakage and private ones, under four policies side by side.

Half of the agents work in two shared work trees (of a fleet below eight, in one), the others in one of their own,
every second of those with a private failure on top. The base arrives broken. All times are scaled alike: a check of
0.2 s, an edit of 1.8 s, and a sleep of 3 s stand for 20 s, 3 min and 5 min. Run:
`python -m tests.benchmarks.fleet [N …]`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from benchmarks.fleet_agent import POLICIES, Plan  # noqa: E402
from testing.support import Checkout, new_repository  # noqa: E402

CHECK_SECONDS = 0.2
SAYING = ("first form", "buildguard")
"""The policies that say whether HEAD is good."""
BOUND = 300.0
"""Seconds after which a fleet that does not end is given up: a hung benchmark is a failed one."""
CHECK = """
sleep @seconds@
says() { echo "0 ${FLEET_AGENT:-nobody} $1" >> "@folder@/log"; }
says checks
failed=
if grep -q BROKEN app.txt; then echo "FAILED tests/test_app.py::test_app - boom"; failed=" app"; fi
for own in private-*.txt; do
    if grep -qs BAD "$own"; then
        name=${own#private-}
        name=${name%.txt}
        echo "FAILED tests/test_own.py::test_own[$name] - boom"
        failed="$failed own-$name"
    fi
done
test -z "$failed" || { says "fails$failed"; exit 1; }
"""
"""It notes itself for whom it ran and what it named, before anybody can act on it: alike under every policy."""


@dataclass(frozen=True)
class Fact:
    """One line of the fleet's log, which is in the order of what happened; `at` is a monotonic time in seconds, 0
    where only the order counts."""

    at: float
    agent: str
    what: str


class Row(NamedTuple):
    """What one policy came to with one number of agents; times in seconds. `red_passing` is None where nothing is
    said of HEAD."""

    agents: int
    policy: str
    at_once: int
    redundant: int
    waited_for_private: int
    red_passing: int | None
    until_fix: float
    last_commit: float
    allowed: float
    checks: int

    @property
    def reached(self) -> bool:
        """Whether that is what buildguard is to reach."""
        counted = (self.at_once, self.redundant, self.waited_for_private, self.red_passing)
        return counted == (1, 0, 0, 0) and self.last_commit <= self.allowed


def measure(agents: int, policy: str) -> Row:
    """One run of a fleet. Raises `AssertionError` if it did not come to its end with everything committed."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    try:
        places = _places(folder, agents)
        plan = Plan(str(folder), edit=1.8, sleep=3.0, stale=9.0)
        (folder / "plan.json").write_text(json.dumps(asdict(plan)))
        _run(policy, places, folder)
        facts = _facts(folder)
        _verify(places)
        row = judged(policy, facts, {name: str(tree.path) for name, tree in places.items()})
        return row._replace(red_passing=red(next(iter(places.values())), facts)) if policy in SAYING else row
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _places(folder: Path, agents: int) -> dict[str, Checkout]:
    """The agents and their work trees, on a base that arrives broken."""
    base = new_repository(folder / "base", folder / "home", check="sh check.sh")
    base.write("check.sh", CHECK.replace("@folder@", str(folder)).replace("@seconds@", str(CHECK_SECONDS)))
    base.write("app.txt", "BROKEN\n")
    base.ok("add", "-A")
    base.ok("commit", "-q", "--no-verify", "-m", "arrives broken")
    shared = [base] if agents < 8 else [base, base.work_tree("shared")]
    places: dict[str, Checkout] = {}
    for number in range(agents):
        name = f"agent{number}"
        alone = number >= agents // 2
        tree = base.work_tree(f"tree{number}") if alone else shared[number % len(shared)]
        private = alone and number % 2 == 1
        tree.write(f"private-{name}.txt", "BAD\n" if private else "good\n")
        places[name] = tree
    for tree in _trees(places):
        tree.ok("add", "-A")
    return places


def _trees(places: dict[str, Checkout]) -> Iterable[Checkout]:
    """Each work tree once."""
    return {tree.path: tree for tree in places.values()}.values()


def _run(policy: str, places: dict[str, Checkout], folder: Path) -> None:
    """Start all agents, let them go at once, and wait for all of them; the first that fails ends the fleet."""
    running: list[subprocess.Popen[str]] = []
    try:
        for name, tree in places.items():
            script, plan = str(HERE / "fleet_agent.py"), str(folder / "plan.json")
            running.append(
                subprocess.Popen(
                    [sys.executable, script, policy, name, str(tree.path), plan],
                    env=tree.env(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            )
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"{policy}: {process.stdout.read()}"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.close()
        _await_ends(policy, running)
    finally:
        for process in running:
            # With whatever it has started: a fleet that is given up leaves nothing behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _await_ends(policy: str, running: list["subprocess.Popen[str]"]) -> None:
    with ThreadPoolExecutor(len(running)) as pool:
        ends = [pool.submit(_await_end, process) for process in running]
        ended, lasting = wait(ends, timeout=BOUND, return_when=FIRST_EXCEPTION)
        for process in running if lasting else ():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    for end in ended:
        end.result()
    assert not lasting, f"{policy}: {len(lasting)} of {len(running)} agents were still at it after {BOUND} s"


def _await_end(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    said = process.stdout.read()
    assert process.wait() == 0, f"{process.args!r} ended with {process.returncode}:\n{said}"


def _facts(folder: Path) -> list[Fact]:
    rows = (line.split(" ", 2) for line in (folder / "log").read_text().splitlines())
    return [Fact(float(at), agent, what) for at, agent, what in rows]


def _verify(places: dict[str, Checkout]) -> None:
    """What makes the figures worth anything: each work tree has the fix and all its agents' work, committed, with
    nothing left over, and passes the check."""
    for tree in _trees(places):
        assert tree.ok("show", "HEAD:app.txt") == "fine", tree.path
        assert tree.ok("status", "--porcelain") == "", tree.path
        assert tree.run("sh", "check.sh").status == 0, tree.path
    for name, tree in places.items():
        subjects = tree.ok("log", "--format=%s").splitlines()
        assert subjects.count(f"{name}: work") == 1, (name, subjects)


def red(repository: Checkout, facts: list[Fact]) -> int:
    """How many commits that were said to be good fail the check in a clean checkout of their own."""
    said = {fact.what.removeprefix("green ") for fact in facts if fact.what.startswith("green ")}
    failed = 0
    for commit in said:
        place = repository.path.parent / f"clean-{commit}"
        repository.ok("worktree", "add", "-q", "--detach", str(place), commit)
        failed += Checkout(place, repository.home).run("sh", "check.sh").status != 0
    return failed


def judged(policy: str, facts: list[Fact], places: dict[str, str]) -> Row:
    """What the log of a run comes to. `places` are the agents' work trees."""
    committed = [fact for fact in facts if fact.what == "committed"]
    assert sorted(fact.agent for fact in committed) == sorted(places), f"{policy}: not every agent has committed"
    fixes = [fact for fact in facts if fact.what == "fixed"]
    waiting = {fact.agent for at, fact in enumerate(facts) if _is_for_private(fact, facts[:at])}
    return Row(
        len(places),
        policy,
        _most_at_once(facts),
        len(fixes) - 1,
        len(waiting),
        None,
        fixes[0].at - min(fact.at for fact in facts if fact.what == "starts"),
        max(fact.at for fact in committed) - fixes[0].at,
        CHECK_SECONDS + 1.0 * _longest_row(places, fixes[0].agent),
        sum(fact.what == "checks" for fact in facts),
    )


def _most_at_once(facts: list[Fact]) -> int:
    """How many agents were fixing what is everybody's at the same time, at most."""
    fixing: set[str] = set()
    most = 0
    for fact in facts:
        if fact.what == "fixing":
            fixing.add(fact.agent)
        elif fact.what == "fixed":
            fixing.remove(fact.agent)
        most = max(most, len(fixing))
    assert not fixing, f"never came to an end with their fix: {fixing}"
    return most


def _longest_row(places: dict[str, str], fixer: str) -> int:
    """How many commits must follow each other after the fix, at most: in one work tree those of its agents, after
    the one that brings the fix in where that was made elsewhere."""
    return max(count + (tree != places[fixer]) for tree, count in Counter(places.values()).items())


def _is_for_private(fact: Fact, before: list[Fact]) -> bool:
    """Whether that is a wait for somebody with whom the waiter shares no failure, by the last failing check of each
    `before` it."""
    if not fact.what.startswith("waits "):
        return False
    fixer = fact.what.removeprefix("waits ")
    return _failures(fact.agent, before).isdisjoint(_failures(fixer, before))


def _failures(agent: str, facts: list[Fact]) -> set[str]:
    """What the last failing check of an agent named."""
    named = (fact.what.split()[1:] for fact in reversed(facts) if fact.agent == agent and _fails(fact))
    return set(next(named, ()))


def _fails(fact: Fact) -> bool:
    return fact.what.startswith("fails ")


def table(rows: list[Row]) -> str:
    """The rows as a table, as it stands in the README."""
    lines = [
        "| agents | policy | fixing at once | redundant fixes | waiting for a private failure"
        " | HEAD red while status said passing | start to fix | fix to last commit (allowed) | checks |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for row in rows:
        red = "" if row.red_passing is None else row.red_passing
        lines.append(
            f"| {row.agents} | {row.policy} | {row.at_once} | {row.redundant} | {row.waited_for_private} | {red}"
            f" | {row.until_fix:.1f} s | {row.last_commit:.1f} s ({row.allowed:.1f} s) | {row.checks} |"
        )
    return "\n".join(lines)


def main(sizes: list[int]) -> int:
    """Print the table; 0 if buildguard reached its targets at every size."""
    rows = [measure(size, policy) for size in sizes for policy in POLICIES]
    print(table(rows))
    good = all(row.reached for row in rows if row.policy == "buildguard")
    print("targets: " + ("reached" if good else "MISSED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [4, 8, 16, 32]))
