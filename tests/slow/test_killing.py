"""Processes that are killed outright at random moments: the database opens, is sound, and says what happened."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from testing.racing import folder
from testing.support import PATIENCE, Checkout

from buildguard.claims.model import Event, Kind, Snapshot, Status
from buildguard.store.sqlite import SqliteStore

KILLS = int(os.environ.get("BUILDGUARD_TEST_KILLS", "400"))
"""How many processes are killed. `BUILDGUARD_TEST_KILLS=10000 pytest -m slow -s tests/slow/test_killing.py` kills
10,000, and says how long that took."""
ROUND = 4.0
"""Seconds that one strike may take at the very most."""
DEATHS_BEFORE_A_FRESH_START = 100
"""After so many kills our folder is deleted, so that its making is interrupted, too."""
KILLER = """
import os, random, signal, subprocess, sys, time
import psutil
from importlib.metadata import entry_points
import buildguard.cli, buildguard.commands.run, buildguard.commands.looking

(script,) = entry_points(group="console_scripts", name="buildguard")
begin_command = script.load()

STALE = ["--stale-after", "0.05s"]
COMMANDS = (
    ["claim"], ["claim", *STALE], ["claim", *STALE], ["run"], ["run", *STALE], ["run", *STALE], ["status"],
    ["release"], ["release"], ["release", "--gave-up"], ["release", "--gave-up", "--reason", "killed"], ["status"],
)

def world(number):
    # What is no business of ours: somebody edits, breaks and mends, commits, goes back.
    chance = random.random()
    if chance < 0.7:
        with open("code", "w") as code:
            code.write(f"{'bad' if chance < 0.25 else 'good'} {number}\\n")
    if 0.35 < chance < 0.9:
        subprocess.run(["git", "commit", "-q", "--no-verify", "-am", f"{number}"], stdout=subprocess.DEVNULL)
    elif chance > 0.95:
        subprocess.run(["git", "reset", "-q", "--hard", "HEAD~"], stderr=subprocess.DEVNULL)

def begin(arguments):
    child = os.fork()
    if child:
        return child
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(devnull, stream)
    sys.argv = ["buildguard", *arguments]
    try:
        begin_command()
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        os._exit(99)

spans = {}
for line in sys.stdin:
    world(line.strip())
    doomed = []
    for _ in range(4):
        number = random.randrange(len(COMMANDS))
        command, *rest = COMMANDS[number]
        began = time.monotonic()
        span = spans.get(number, 0.4)
        child = begin([command, "--agent", random.choice(["ann", "bob", "cat"]), *rest])
        doomed.append((began + random.uniform(0, span), number, child))
    killed, ended = 0, []
    for moment, number, child in sorted(doomed):
        time.sleep(max(0, moment - time.monotonic()))
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # The moments stay spread over a command's whole life, however busy the machine is.
        spans[number] = spans.get(number, 0.4) * (1.1 if status < 0 else 0.75)
        killed += status == -signal.SIGKILL
        ended += [status] if status >= 0 else []
    print(killed, *ended, flush=True)
"""
"""At each line that it is sent, lets the world go on a step, starts four commands, kills them at random moments of
their usual span, and says how many it met alive and how the others had ended. The commands are forks of one
interpreter, for speed."""


class Killer:
    """The process that starts and kills."""

    def __init__(self, checkout: Checkout) -> None:
        self._strikes = 0
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
        self._strikes += 1
        self._process.stdin.write(f"{self._strikes}\n")
        self._process.stdin.flush()
        killed, *ended = map(int, self._process.stdout.readline().split())
        return killed, ended

    def ends(self) -> None:
        self._process.communicate(timeout=PATIENCE)


def sound(path: Path) -> None:
    """SQLite itself finds nothing wrong, a hot journal of the dead rolled back."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def obeys_the_rules(snapshot: Snapshot, history: list[Event]) -> None:
    """The rows are what the history leads to, no number was lost or given twice, and no rule was broken."""
    claims = [event.number for event in history if event.kind in (Kind.CLAIMED, Kind.TAKEN_OVER)]
    assert claims == list(range(1, len(claims) + 1)), "a number was lost, given twice, or went back"
    assert snapshot.highest == len(claims)
    status, fixer = Status.PASSING, ""
    for event in history:
        assert event.before is status, event
        assert (event.kind is Kind.CLAIMED) == (event.after is Status.FIXING and status is not Status.FIXING), event
        assert event.kind is not Kind.TAKEN_OVER or status is event.after is Status.FIXING, event
        if event.kind in (Kind.FIXED, Kind.RELEASED, Kind.GAVE_UP) and status is Status.FIXING:
            assert fixer in (event.agent, event.other), event
        if event.kind in (Kind.CLAIMED, Kind.TAKEN_OVER):
            fixer = event.agent
        status = event.after
    states = list(snapshot.states.values())
    assert len(states) <= 1 <= len(states) + (not history)
    for state in states:
        assert (state.status, state.number) == (status, len(claims))
        assert state.claim is None or state.claim.agent == fixer
        assert state.breakage is None or len(state.breakage.seen) == 1


@pytest.mark.timeout(max(600, KILLS * ROUND))
def test_a_process_killed_at_any_moment_leaves_a_sound_database_that_tells_the_truth(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "! grep -q bad code"\n')
    checkout.write("code", "good\n")
    checkout.ok("add", "-A")
    # Not in a second commit: the world goes back by one now and then, and would go back to another check.
    checkout.ok("commit", "-q", "--no-verify", "--amend", "--no-edit")
    path = folder(checkout) / "state.db"
    killer, store, began = Killer(checkout), SqliteStore(path), time.monotonic()
    total, since_fresh, statuses, happened = 0, 0, set[int](), Counter[str]()
    while total < KILLS:
        killed, ended = killer.strikes()
        total += killed
        since_fresh += killed
        statuses.update(ended)
        if path.exists():
            sound(path)
        history = store.history("default", 10_000)
        obeys_the_rules(store.read("default"), history)
        if since_fresh >= DEATHS_BEFORE_A_FRESH_START or total >= KILLS:
            since_fresh = 0
            happened.update(event.kind.value for event in history)
            store.close()
            shutil.rmtree(path.parent)
    killer.ends()
    print(f"{total} killed in {time.monotonic() - began:.0f} s; {sorted(statuses)}; {dict(happened)}")
    assert statuses <= {0, 1, 3, 75}, "a killed neighbour made somebody fail"
    assert {"claimed", "taken_over", "fixed"} <= set(happened), "too little was interrupted"
    assert happened["released"] + happened["gave_up"], "no release was interrupted"
    assert checkout.buildguard("reset", "--yes", agent="dan").status == 0
    assert checkout.buildguard("claim", agent="dan").status == 0
    store.close()
