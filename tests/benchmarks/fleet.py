"""The fleet: N agents as real processes, one shared breakage and private ones, under four policies side by side.

Half of the agents work in two shared work trees, the others in one of their own, every second of those with a
private failure on top. The base arrives broken. All times are scaled alike: a check of 0.2 s, an edit of 1.8 s,
and a sleep of 3 s stand for 20 s, 3 min and 5 min. Run: `python -m tests.benchmarks.fleet [N …]`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from benchmarks.fleet_agent import POLICIES, Plan  # noqa: E402
from support import Checkout, new_repository  # noqa: E402

CHECK_SECONDS = 0.2
BOUND = 300.0
"""Seconds after which a fleet that does not end is given up: a hung benchmark is a failed one."""
CHECK = """
sleep @seconds@
echo "0 ${FLEET_AGENT:-nobody} checks" >> @folder@/log
status=0
if grep -q BROKEN app.txt; then echo "FAILED tests/test_app.py::test_app - boom"; status=1; fi
for own in private-*.txt; do
    if grep -qs BAD "$own"; then
        name=${own#private-}
        echo "FAILED tests/test_own.py::test_own[${name%.txt}] - boom"
        status=1
    fi
done
exit $status
"""


@dataclass(frozen=True)
class Fact:
    """One line of the fleet's log; `at` is a monotonic time in seconds."""

    at: float
    agent: str
    what: str


@dataclass(frozen=True)
class Row:
    """What one policy came to with one number of agents."""

    agents: int
    policy: str
    at_once: int
    redundant: int
    waited_for_private: int
    last_commit: float
    allowed: float
    checks: int


def measure(agents: int, policy: str) -> Row:
    """One run of a fleet."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    try:
        places = _places(folder, agents)
        plan = Plan(str(folder), edit=1.8, sleep=3.0, stale=9.0)
        (folder / "plan.json").write_text(json.dumps(asdict(plan)))
        _run(policy, places, folder)
        return _judged(
            agents, policy, _facts(folder), max(list(places.values()).count(tree) for tree in places.values())
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _places(folder: Path, agents: int) -> dict[str, Checkout]:
    """The agents and their work trees, on a base that arrives broken."""
    base = new_repository(folder / "base", folder / "home", check="sh check.sh")
    base.write("check.sh", CHECK.replace("@folder@", str(folder)).replace("@seconds@", str(CHECK_SECONDS)))
    base.write("app.txt", "BROKEN\n")
    base.ok("add", "-A")
    base.ok("commit", "-q", "--no-verify", "-m", "arrives broken")
    shared = [base, base.work_tree("shared")]
    places: dict[str, Checkout] = {}
    for number in range(agents):
        name = f"agent{number}"
        alone = number >= agents // 2
        tree = base.work_tree(f"tree{number}") if alone else shared[number % 2]
        private = alone and number % 2 == 1
        tree.write(f"private-{name}.txt", "BAD\n" if private else "good\n")
        places[name] = tree
    for tree in {tree.path: tree for tree in places.values()}.values():
        tree.ok("add", "-A")
    return places


def _run(policy: str, places: dict[str, Checkout], folder: Path) -> None:
    """Start all agents, let them go at once, and wait for all of them."""
    running = []
    for name, tree in places.items():
        argv = [
            sys.executable,
            str(HERE / "fleet_agent.py"),
            policy,
            name,
            str(tree.path),
            str(folder / "plan.json"),
        ]
        running.append(
            subprocess.Popen(argv, env=tree.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    deadline = time.monotonic() + BOUND
    for process in running:
        process.wait(timeout=max(1.0, deadline - time.monotonic()))
        process.communicate()


def _facts(folder: Path) -> list[Fact]:
    rows = (line.split(" ", 2) for line in (folder / "log").read_text().splitlines())
    return [Fact(float(at), agent, what) for at, agent, what in rows]


def _judged(agents: int, policy: str, facts: list[Fact], most_in_one_tree: int) -> Row:
    fixes = sorted(fact.at for fact in facts if fact.what == "fixed")
    starts = sorted(fact.at for fact in facts if fact.what == "fixing")
    at_once = max((sum(s <= at for s in starts) - sum(f < at for f in fixes) for at in starts), default=0)
    commits = [fact.at for fact in facts if fact.what == "committed"]
    assert len(commits) == agents, f"{policy}: {len(commits)} of {agents} agents committed"
    # In one work tree a commit must follow the other, and the fix comes before all of them.
    allowed = CHECK_SECONDS + 1.0 * (most_in_one_tree + 1)
    private = sum(_is_private(fact, facts) for fact in facts if fact.what.startswith("waits "))
    checks = sum(fact.what == "checks" for fact in facts)
    return Row(agents, policy, at_once, len(fixes) - 1, private, max(commits) - fixes[0], allowed, checks)


def _is_private(wait: Fact, facts: list[Fact]) -> bool:
    """Whether the agent that is waited for was then mending only what is its own."""
    fixer = wait.what.removeprefix("waits ")
    mends = [
        fact.what for fact in facts if fact.agent == fixer and fact.at <= wait.at and fact.what.startswith("mends")
    ]
    return bool(mends) and mends[-1] == "mends own"


def table(rows: list[Row]) -> str:
    """The rows as a table."""
    lines = [
        "agents  policy           fixing at once  redundant fixes  waits for private"
        "  fix to last commit (allowed)  checks"
    ]
    for row in rows:
        lines.append(
            f"{row.agents:6}  {row.policy:15}  {row.at_once:14}  {row.redundant:15}  {row.waited_for_private:17}"
            f"  {row.last_commit:9.1f} s ({row.allowed:.1f} s)          {row.checks:6}"
        )
    return "\n".join(lines)


def main(sizes: list[int]) -> int:
    """Print the table; 0 if buildguard reached its targets at every size."""
    rows = [measure(size, policy) for size in sizes for policy in POLICIES]
    print(table(rows))
    ours = [row for row in rows if row.policy == "buildguard"]
    good = all(
        row.at_once == 1 and row.redundant == 0 and row.waited_for_private == 0 and row.last_commit <= row.allowed
        for row in ours
    )
    print("targets: " + ("reached" if good else "MISSED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [4, 8, 16, 32]))
