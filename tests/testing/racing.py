"""Races of real processes for one claim."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from buildguard.claims.model import Event, Kind, State
from buildguard.store.sqlite import SqliteStore
from testing.support import BUILDGUARD, PATIENCE, Checkout

RACE_PATIENCE = PATIENCE * 4
"""Seconds after which a race has hung; 64 interpreters may share one core."""
FIELD = """
import os, sys
import psutil
from importlib.metadata import entry_points
import buildguard.cli, buildguard.commands.run, buildguard.commands.looking
(script,) = entry_points(group="console_scripts", name="buildguard")
begin_command = script.load()
racers, first, places, words = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(":"), sys.argv[4:]
start, starter = os.pipe()
ready, reporter = os.pipe()
for number in range(first, first + racers):
    if os.fork() == 0:
        os.close(starter)
        os.chdir(places[number % len(places)])
        os.write(reporter, b".")
        os.read(start, 1)
        devnull = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(devnull, stream)
        sys.argv = ["buildguard", words[0], "--agent", f"racer-{number}", *words[1:]]
        try:
            begin_command()
        except SystemExit as end:
            os._exit(end.code or 0)
        finally:
            os._exit(99)
for _ in range(racers):
    os.read(ready, 1)
os.close(starter)
for _ in range(racers):
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
"""Forks the racers from one interpreter that has imported everything, so that they start within a millisecond."""


def folder(checkout: Checkout) -> Path:
    """What we keep in git's folder."""
    return checkout.path / ".git" / "buildguard"


def forked(
    checkout: Checkout, racers: int, first: int = 0, words: Sequence[str] = ("claim",), places: Sequence[Path] = ()
) -> list[int]:
    """The exit statuses of that many calls, all let go at once by the end of a pipe; in turn in these `places`."""
    where = ":".join(str(place) for place in places or (checkout.path,))
    done = subprocess.run(
        [sys.executable, "-c", FIELD, str(racers), str(first), where, *words],
        cwd=checkout.path,
        env=checkout.env(),
        capture_output=True,
        text=True,
        timeout=RACE_PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(line) for line in done.stdout.split()]


def started(checkout: Checkout, racers: int, first: int = 0) -> list[int]:
    """Claims by the command itself: a shell for each reads the pipe, and at its end becomes `buildguard`."""
    barrier, starter = os.pipe()
    script = 'read -r _; exec "$0" claim --agent "$1" </dev/null >/dev/null 2>&1'
    processes = [
        subprocess.Popen(
            ["sh", "-c", script, BUILDGUARD, f"racer-{number}"],
            cwd=checkout.path,
            env=checkout.env(),
            stdin=barrier,
        )
        for number in range(first, first + racers)
    ]
    os.close(barrier)
    os.close(starter)
    return [process.wait(RACE_PATIENCE) for process in processes]


def kept(checkout: Checkout) -> tuple[list[State], list[Event]]:
    """All states and the whole history."""
    store = SqliteStore(folder(checkout) / "state.db")
    try:
        return list(store.read("default").states.values()), store.history("default", 1000)
    finally:
        store.close()


def one_won(checkout: Checkout, statuses: Sequence[int], kind: Kind, number: int, won: int = 0) -> str:
    """One claim and no other result than busy: in the statuses (the winner's is `won`), in the row and in the
    history. The winner."""
    assert Counter(statuses) == Counter([won] + [75] * (len(statuses) - 1))
    states, history = kept(checkout)
    (state,) = states
    (event,) = (event for event in history if event.number == number and event.kind is not Kind.SHARED)
    assert state.claim is not None
    assert (event.kind, event.agent, state.number) == (kind, state.claim.agent, number)
    return state.claim.agent


def afresh(checkout: Checkout) -> None:
    """No database at all, no folder for one, and no name of the checkout."""
    shutil.rmtree(folder(checkout), ignore_errors=True)


def gone_stale(checkout: Checkout) -> None:
    """A claim that is stale by its own terms as soon as it is made. Those who take it over get the usual ones."""
    afresh(checkout)
    assert checkout.buildguard("claim", "--agent", "idler", "--stale-after", "0.001s").status == 0
