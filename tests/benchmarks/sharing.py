"""(e) After a fix, how soon the last of N waiters in one checkout has committed, and how often the check runs.

Each waiter is a `buildguard commit` of one file of its own, so that git lets one commit after the other. The check
takes 2 s. Beside it the same with reuse off, and with joining off, too.
"""

import time
from pathlib import Path

from benchmarks.table import Row, Table
from testing.support import BUILDGUARD, Checkout, Following, new_repository

CHECK_SECONDS = 2.0
ROOM = 0.25
"""Seconds that one commit may take, beside two checks in all."""
MOST_CHECKS = 3
CHECK = 'echo >> "$CHECKS"; sleep "$(cat "$SECONDS_FILE")"; ! grep -q BROKEN code'
MODES = {"": {}, ", reuse off": {"BUILDGUARD_REUSE": "0"}, ", joining off": {"BUILDGUARD_FRESH": "1"}}
PATIENCE = 600.0


def measure(folder: Path, smallest: bool) -> Table:
    """One fix for each number of waiters and each mode."""
    rows: list[Row] = []
    for waiters in (2,) if smallest else (2, 8, 32):
        alone = CHECK_SECONDS + ROOM * waiters
        for mode, variables in MODES.items():
            checks, took = _wakes(
                folder / f"{waiters}{mode}", waiters, 0.1 if smallest else CHECK_SECONDS, variables
            )
            bound = None if mode or waiters < 32 else 2 * CHECK_SECONDS + ROOM * waiters
            most = None if mode else MOST_CHECKS
            rows.append(
                Row(f"{waiters} waiters{mode}: checks after the fix began", checks, "runs", checks, most=most)
            )
            rows.append(Row(f"{waiters} waiters{mode}: fix to last commit", took, "s", took / alone, most=bound))
    return Table("(e) waiters in one checkout; ratio to one check and 0.25 s for each commit", tuple(rows))


def _wakes(folder: Path, waiters: int, seconds: float, variables: dict[str, str]) -> tuple[float, float]:
    """How often the check ran from the beginning of the fixer's commit on, and the seconds from its end to that of
    the last waiter's."""
    checks, lasts = folder / "checks", folder / "seconds"
    folder.mkdir()
    lasts.write_text("0")
    more = {"CHECKS": str(checks), "SECONDS_FILE": str(lasts), **variables}
    checkout = new_repository(folder / "repository", folder / "home", CHECK, **more)
    started = _waiting(checkout, waiters)
    before = len(checks.read_text())
    lasts.write_text(str(seconds))
    checkout.write("code", "good\n")
    checkout.ok("commit", "-q", "-m", "fix", "--", "code", agent="fixer")
    began = time.monotonic()
    for one in started:
        done = one.ends(PATIENCE)
        assert done.status == 0, done
    took = time.monotonic() - began
    assert len(checkout.ok("log", "--format=%s").splitlines()) == waiters + 3
    return float(len(checks.read_text()) - before), took


def _waiting(checkout: Checkout, waiters: int) -> list[Following]:
    """The waiters, each of which waits for the fixer."""
    checkout.write("code", "BROKEN\n")
    for number in range(waiters):
        checkout.write(f"file-{number}", "work\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "arrives broken", "--", "code")
    assert checkout.buildguard("run", agent="fixer").status == 1
    started = []
    for number in range(waiters):
        commit = (BUILDGUARD, "commit", "--timeout", "1h", "-q", "-m", f"{number}", "--", f"file-{number}")
        started.append(Following(checkout.start(*commit, agent=f"agent-{number}")))
    for one in started:
        one.says("waiting: fixer is fixing")
    return started
