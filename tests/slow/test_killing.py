"""Processes that are killed outright at random moments: the database opens, is sound, and says what happened."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from testing.support import PATIENCE, Checkout

from buildguard.claims.model import Outcome, Snapshot, Status
from buildguard.store.sqlite import Store

KILLS = 520
DEATHS_BEFORE_A_FRESH_START = 40
"""After so many kills the database is deleted, so that its making is interrupted, too."""
KILLER = """
import os, random, signal, sys, time
import buildguard.cli, buildguard.agents.processes, buildguard.ui.phrases
COMMANDS = (
    ["claim"], ["claim", "--stale-after", "0.05s"], ["claim", "--stale-after", "0.05s"],
    ["release"], ["release", "--gave-up", "--reason", "killed"],
    ["run", "--stale-after", "0.05s", "--", "true"], ["run", "--stale-after", "0.05s", "--", "false"],
)

def begin(arguments):
    child = os.fork()
    if child:
        return child
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(devnull, stream)
    try:
        buildguard.cli.main(arguments)
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        os._exit(99)

spans = {}
for line in sys.stdin:
    doomed = []
    for _ in range(4):
        number = random.randrange(len(COMMANDS))
        command, *rest = COMMANDS[number]
        began = time.monotonic()
        span = spans.get(number, 0.05)
        child = begin([command, "--agent", random.choice(["ann", "bob", "cat"]), *rest])
        doomed.append((began + random.uniform(0, span), number, child))
    killed, ended = 0, []
    for moment, number, child in sorted(doomed):
        time.sleep(max(0, moment - time.monotonic()))
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # The moments stay spread over a command's whole life, however busy the machine is.
        spans[number] = spans.get(number, 0.05) * (1.05 if status < 0 else 0.85)
        killed += status == -signal.SIGKILL
        ended += [status] if status >= 0 else []
    print(killed, *ended, flush=True)
"""
"""At each line that it is sent, starts four commands, kills them at random moments of their usual span, and says
how many it met alive and how the others had ended. The commands are forks of one interpreter, for speed."""


class Killer:
    """The process that starts and kills."""

    def __init__(self, checkout: Checkout) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", KILLER],
            cwd=checkout.path,
            env=checkout.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def strikes(self) -> tuple[int, list[int]]:
        """How many were killed, and the statuses of those that were faster."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        killed, *ended = map(int, self._process.stdout.readline().split())
        return killed, ended

    def ends(self) -> None:
        self._process.communicate(timeout=PATIENCE)


def sound(path: Path) -> None:
    """SQLite itself finds nothing wrong, a hot journal of the dead rolled back."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def obeys_the_rules(store: Store) -> Snapshot:
    """The rows are what the history leads to, and no rule of the state machine is broken."""
    snapshot, history = store.read("default"), store.history("default", 10_000)
    claims = [event.number for event in history if event.kind in (Outcome.CLAIMED, Outcome.TAKEN_OVER)]
    assert claims == sorted(set(claims)), "a number was given twice, or went back"
    status, fixer = Status.PASSING, ""
    for event in history:
        assert event.before is status, event
        assert (event.kind is Outcome.TAKEN_OVER) == (event.before is event.after is Status.FIXING), event
        if event.kind in (Outcome.FIXED, Outcome.RELEASED, Outcome.GAVE_UP) and event.before is Status.FIXING:
            assert fixer in (event.agent, event.other), event
        status = event.after
        fixer = event.agent if status is Status.FIXING else ""
    states = list(snapshot.states.values())
    assert len(states) == (1 if history else len(states)) <= 1
    for state in states:
        assert (state.status, state.claim.agent if state.claim else "") == (status, fixer)
        assert (state.status is Status.FIXING) == (state.claim is not None)
        assert state.number == max(claims, default=0)
    return snapshot


def test_a_process_killed_at_any_moment_leaves_a_sound_database_that_tells_the_truth(checkout: Checkout) -> None:
    path = checkout.path / ".git" / "buildguard" / "state.db"
    killer, store = Killer(checkout), Store(path)
    total, since_fresh, written, statuses = 0, 0, 0, set[int]()
    while total < KILLS:
        killed, ended = killer.strikes()
        total += killed
        since_fresh += killed
        statuses.update(ended)
        if path.exists():
            sound(path)
        written += obeys_the_rules(store).last_event
        if since_fresh >= DEATHS_BEFORE_A_FRESH_START:
            since_fresh = 0
            store.close()
            for left in path.parent.glob("state.db*"):
                left.unlink()
    killer.ends()
    assert statuses <= {0, 1, 3, 75}, "a killed neighbour made somebody fail"
    assert written > 0, "all were killed before they had written anything: nothing was tested"
    assert checkout.buildguard("reset", "--yes", agent="dan").status == 0
    assert checkout.buildguard("claim", agent="dan").status == 0
    store.close()
