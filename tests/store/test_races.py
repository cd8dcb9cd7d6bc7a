"""Races of a few real processes for one claim: exactly one wins, all others are told so, nobody fails.

`tests/slow/test_many_races.py` has those of many.
"""

from testing.breakage import broken_base, repository
from testing.racing import RACE_PATIENCE, afresh, forked, gone_stale, one_won, started
from testing.support import BUILDGUARD, Checkout

from buildguard.claims.model import Kind


def test_of_a_few_that_claim_at_once_from_no_database_one_wins(checkout: Checkout) -> None:
    for racers in (2, 2, 2, 8):
        afresh(checkout)
        one_won(checkout, forked(checkout, racers), Kind.CLAIMED, 1)


def test_of_a_few_that_take_over_a_silent_claim_at_once_one_wins(checkout: Checkout) -> None:
    for racers in (2, 8):
        gone_stale(checkout)
        assert one_won(checkout, forked(checkout, racers), Kind.TAKEN_OVER, 2).startswith("racer-")


def test_one_wins_when_it_is_the_installed_command_that_is_started(checkout: Checkout) -> None:
    one_won(checkout, started(checkout, 4), Kind.CLAIMED, 1)


def test_of_two_work_trees_that_fail_alike_at_once_one_has_the_fixer(checkout: Checkout) -> None:
    checkout = repository(checkout.path.parent / "wide")
    broken_base(checkout)
    trees = (checkout.path, checkout.work_tree("tree").path)
    one_won(checkout, forked(checkout, 4, words=("run",), places=trees), Kind.CLAIMED, 1, won=1)


def test_the_winner_keeps_the_claim_against_all_who_come_later(checkout: Checkout) -> None:
    winner = one_won(checkout, forked(checkout, 4), Kind.CLAIMED, 1)
    assert forked(checkout, 4, first=4) == [75] * 4
    assert checkout.buildguard("claim", "--agent", winner).status == 0


def test_claims_for_several_builds_do_not_disturb_each_other(checkout: Checkout) -> None:
    processes = [
        checkout.start(BUILDGUARD, "claim", "--agent", agent, "--build", build)
        for build in ("tests", "types", "lint")
        for agent in ("ann", "bob")
    ]
    outcomes = [process.communicate(timeout=RACE_PATIENCE) and process.returncode for process in processes]
    assert [sorted(outcomes[at : at + 2]) for at in (0, 2, 4)] == [[0, 75]] * 3
