"""A repository in which several agents can have the same failure, and failures of their own."""

import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from testing.support import Checkout, Done, new_repository

CHECK = """
status=0
if grep -q BROKEN app.txt; then echo "FAILED tests/test_app.py::test_app - boom"; status=1; fi
for private in private-*.txt; do
    if grep -qs BAD "$private"; then echo "FAILED tests/test_own.py::test_$private - boom"; status=1; fi
done
exit $status
"""
"""Names its failures as pytest does."""
RUN = ("run", "--", "sh", "check.sh")


def repository(folder: Path) -> Checkout:
    """A repository with that check, which passes."""
    checkout = new_repository(folder / "repository", folder / "home", check="sh check.sh")
    checkout.write("check.sh", CHECK)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "check")
    return checkout


def broken_base(checkout: Checkout) -> None:
    """A base that arrived broken."""
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-q", "--no-verify", "-a", "-m", "arrives broken")


def shared_breakage(checkout: Checkout) -> Checkout:
    """A base that arrived broken, alice at its fix in a work tree of her own, bob busy in his. His work tree."""
    broken_base(checkout)
    other = checkout.work_tree("other")
    assert checkout.buildguard(*RUN, agent="alice").status == 1
    assert other.buildguard(*RUN, agent="bob").status == 75
    return other


def fix(checkout: Checkout, **more: str) -> None:
    """Commit alice's fix, through the hook; `more` files go with it."""
    for name, text in {"app.txt": "fine\n", **more}.items():
        checkout.write(name, text)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "fix", agent="alice")


TIMES = {
    "build_state": (
        "$.last_check",
        "$.breakage.since",
        "$.breakage.landed.at",
        "$.breakage.claim.claimed_at",
        "$.breakage.claim.seen_at",
    ),
    "event": ("$.at",),
    "proof": ("$.at",),
}
"""Where the store has times."""


def later(checkout: Checkout, seconds: float) -> None:
    """Let all that has happened lie further back."""
    path = checkout.variables.get("BUILDGUARD_DB") or checkout.path / ".git" / "buildguard" / "state.db"
    with closing(sqlite3.connect(path)) as db, db:
        for table, places in TIMES.items():
            for place in places:
                moved = f"UPDATE {table} SET value = json_set(value, ?, json_extract(value, ?) - ?)"
                db.execute(f"{moved} WHERE json_extract(value, ?) IS NOT NULL", (place, place, seconds, place))
        for table in ("event", "proof"):
            db.execute(f"UPDATE {table} SET at = at - ?", (seconds,))


def status(checkout: Checkout, agent: str) -> dict[str, object]:
    """What `status --json` says."""
    answer: dict[str, object] = json.loads(checkout.buildguard("status", "--json", agent=agent).out)
    return answer


def history(checkout: Checkout) -> list[dict[str, object]]:
    """All events, oldest first."""
    events: list[dict[str, object]] = json.loads(checkout.buildguard("log", "--json", "-n", "100").out)["events"]
    return events


def next_command(said: str) -> list[str]:
    """The words of the last `next:` line."""
    lines = [line for line in said.splitlines() if line.startswith("next: ")]
    assert lines, said
    return shlex.split(lines[-1].removeprefix("next: "))


def first_command(said: str) -> list[str]:
    """The words of the first command in the last `next:` line: what brings the fix in, before one goes on."""
    words = next_command(said)
    return words[: words.index("&&")] if "&&" in words else words


def bobs(other: Checkout) -> Done:
    """What bob hears in a tree without the fix."""
    return other.buildguard(*RUN, agent="bob")


def assert_brought_in(other: Checkout, name: str | None) -> None:
    """Bob is sent for that commit (None: whichever it is), brings it in with the command that he is given, and
    passes."""
    done = bobs(other)
    assert done.status == 75, done
    command = first_command(done.both)
    assert (command[:2], command[command.index("--agent") + 1]) == (["buildguard", "cherry-pick"], "bob")
    assert name is None or command[-1] == other.ok("rev-parse", name)[:12]
    assert other.run(*command).status == 0
    assert bobs(other).status == 0
