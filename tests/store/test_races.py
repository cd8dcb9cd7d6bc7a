"""Races of real processes for one claim: exactly one wins, all others are told so, nobody fails."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.support import BUILDGUARD, PATIENCE, Checkout, Worker, eventually, lives

from buildguard.claims.model import Outcome
from buildguard.store.sqlite import Store

RACE_PATIENCE = PATIENCE * 4
"""Seconds after which a race has hung; 64 interpreters may share one core."""
FIELD = """
import os, sys
import buildguard.cli, buildguard.agents.processes, buildguard.ui.phrases
racers, first, arguments = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
start, starter = os.pipe()
ready, reporter = os.pipe()
for number in range(first, first + racers):
    if os.fork() == 0:
        os.close(starter)
        os.write(reporter, b".")
        os.read(start, 1)
        devnull = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(devnull, stream)
        try:
            buildguard.cli.main(["claim", "--agent", f"racer-{number}", *arguments])
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


def database(checkout: Checkout) -> Path:
    return checkout.path / ".git" / "buildguard" / "state.db"


def forked(checkout: Checkout, racers: int, first: int = 0) -> list[int]:
    """The exit statuses of that many claims, all let go at once by the end of a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", FIELD, str(racers), str(first)],
        cwd=checkout.path,
        env=checkout.env(),
        capture_output=True,
        text=True,
        timeout=RACE_PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(line) for line in done.stdout.split()]


def started(checkout: Checkout, racers: int, first: int = 0) -> list[int]:
    """The same with the command itself: a shell for each reads the pipe, and at its end becomes `buildguard`."""
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


def one_won(checkout: Checkout, statuses: list[int], kind: Outcome, number: int) -> str:
    """One claim and no other result than busy: in the statuses, in the row and in the history. The winner."""
    assert Counter(statuses) == Counter([0] + [75] * (len(statuses) - 1))
    store = Store(database(checkout))
    (state,) = store.read("default").states.values()
    (event,) = (event for event in store.history("default", 1000) if event.number == number)
    store.close()
    assert state.claim is not None
    assert (event.kind, event.agent, state.number) == (kind, state.claim.agent, number)
    return state.claim.agent


def afresh(checkout: Checkout) -> None:
    """No database at all, and no folder for one."""
    database(checkout).unlink(missing_ok=True)
    if database(checkout).parent.exists():
        database(checkout).parent.rmdir()


def gone_stale(checkout: Checkout) -> None:
    """A claim that is stale by its own terms as soon as it is made. Those who take it over get the usual ones."""
    afresh(checkout)
    assert checkout.buildguard("claim", "--agent", "idler", "--stale-after", "0.001s").status == 0


def process_died(checkout: Checkout) -> None:
    """A claim by an agent that is nothing but a process, and that process is gone."""
    afresh(checkout)
    with Worker(checkout) as agent:
        done = agent.run(BUILDGUARD, "claim", "--json")
        assert (done.status, json.loads(done.out)["outcome"]) == (0, "claimed"), done
    eventually(lambda: not lives(agent.process.pid), "the agent has died")


@pytest.mark.parametrize(("racers", "rounds"), [(2, 8), (8, 4), (32, 2), (64, 1)])
def test_of_many_that_claim_at_once_from_no_database_one_wins(checkout: Checkout, racers: int, rounds: int) -> None:
    for _ in range(rounds):
        afresh(checkout)
        one_won(checkout, forked(checkout, racers), Outcome.CLAIMED, 1)


@pytest.mark.parametrize(("racers", "rounds"), [(2, 6), (8, 3), (32, 1), (64, 1)])
def test_of_many_that_take_over_a_silent_claim_at_once_one_wins(
    checkout: Checkout, racers: int, rounds: int
) -> None:
    for _ in range(rounds):
        gone_stale(checkout)
        assert one_won(checkout, forked(checkout, racers), Outcome.TAKEN_OVER, 2).startswith("racer-")


@pytest.mark.parametrize("racers", [2, 32])
def test_of_many_that_take_over_from_a_dead_process_at_once_one_wins(checkout: Checkout, racers: int) -> None:
    process_died(checkout)
    assert one_won(checkout, forked(checkout, racers), Outcome.TAKEN_OVER, 2).startswith("racer-")


@pytest.mark.parametrize(
    ("racers", "before", "kind", "number"),
    [
        *((racers, afresh, Outcome.CLAIMED, 1) for racers in (2, 8, 32, 64)),
        *((racers, gone_stale, Outcome.TAKEN_OVER, 2) for racers in (2, 8)),
    ],
)
def test_one_wins_when_it_is_the_installed_command_that_is_started(
    checkout: Checkout, racers: int, before: Callable[[Checkout], None], kind: Outcome, number: int
) -> None:
    before(checkout)
    one_won(checkout, started(checkout, racers), kind, number)


def test_the_winner_keeps_the_claim_against_all_who_come_later(checkout: Checkout) -> None:
    winner = one_won(checkout, forked(checkout, 8), Outcome.CLAIMED, 1)
    assert forked(checkout, 8, first=8) == [75] * 8
    assert checkout.buildguard("claim", "--agent", winner).status == 0


def test_claims_for_several_builds_do_not_disturb_each_other(checkout: Checkout) -> None:
    processes = [
        checkout.start(BUILDGUARD, "claim", "--agent", agent, "--build", build)
        for build in ("tests", "types", "lint")
        for agent in ("ann", "bob")
    ]
    outcomes = [process.communicate(timeout=RACE_PATIENCE) and process.returncode for process in processes]
    assert [sorted(outcomes[at : at + 2]) for at in (0, 2, 4)] == [[0, 75]] * 3
