"""Races of many real processes for one claim: exactly one wins, all others are told so, nobody fails.

`tests/store/test_races.py` has those of a few.
"""

import json
from collections.abc import Callable

import pytest
from testing.breakage import broken_base, repository
from testing.racing import afresh, forked, gone_stale, kept, one_won, started
from testing.support import BUILDGUARD, Checkout, Worker, eventually, lives

from buildguard.claims.model import Kind


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
        one_won(checkout, forked(checkout, racers), Kind.CLAIMED, 1)


@pytest.mark.parametrize(("racers", "rounds"), [(2, 6), (8, 3), (32, 1), (64, 1)])
def test_of_many_that_take_over_a_silent_claim_at_once_one_wins(
    checkout: Checkout, racers: int, rounds: int
) -> None:
    for _ in range(rounds):
        gone_stale(checkout)
        assert one_won(checkout, forked(checkout, racers), Kind.TAKEN_OVER, 2).startswith("racer-")


@pytest.mark.parametrize("racers", [2, 32])
def test_of_many_that_take_over_from_a_dead_process_at_once_one_wins(checkout: Checkout, racers: int) -> None:
    process_died(checkout)
    assert one_won(checkout, forked(checkout, racers), Kind.TAKEN_OVER, 2).startswith("racer-")


@pytest.mark.parametrize(
    ("racers", "before", "kind", "number"),
    [
        *((racers, afresh, Kind.CLAIMED, 1) for racers in (2, 8, 32, 64)),
        *((racers, gone_stale, Kind.TAKEN_OVER, 2) for racers in (2, 8)),
    ],
)
def test_one_wins_when_it_is_the_installed_command_that_is_started(
    checkout: Checkout, racers: int, before: Callable[[Checkout], None], kind: Kind, number: int
) -> None:
    before(checkout)
    one_won(checkout, started(checkout, racers), kind, number)


def test_of_many_work_trees_that_fail_alike_at_once_one_has_the_fixer_and_all_have_the_breakage(
    checkout: Checkout,
) -> None:
    checkout = repository(checkout.path.parent / "wide")
    broken_base(checkout)
    trees = [checkout.path, *(checkout.work_tree(f"tree{number}").path for number in range(15))]
    one_won(checkout, forked(checkout, 32, words=("run",), places=trees), Kind.CLAIMED, 1, won=1)
    ((state,), _) = kept(checkout)
    assert state.breakage is not None
    assert len(state.breakage.seen) == len(trees)
