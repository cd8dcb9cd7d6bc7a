"""Which checks are flaky, by the proofs that are kept."""

import pytest

from buildguard.claims.flakiness import MOST_IDS, Flake, counted, flakes
from buildguard.claims.model import Content, Proof

HERE, THERE = "checkout:here", "checkout:there"
PASSED = Proof("pytest", True, "files", HERE)
FAILED = Proof("pytest", False, "files", HERE, failures=("a", "b"))


def kept(*shown: Proof) -> list[Proof]:
    """What a store keeps of runs in that order."""
    proofs: list[Proof] = []
    for one in shown:
        after = counted(one, proofs)
        proofs = [*(other for other in proofs if other.shows != after.shows), after]
    return proofs


def test_what_failed_and_passed_on_the_same_files_is_counted_by_id() -> None:
    found = flakes(kept(PASSED, FAILED, PASSED, FAILED._replace(failures=("a",)), PASSED))
    assert found == [Flake("pytest", "a", 2, 5), Flake("pytest", "b", 1, 5)]


def test_a_failure_without_ids_is_the_check_s() -> None:
    assert flakes(kept(FAILED._replace(failures=()), PASSED)) == [Flake("pytest", "", 1, 2)]


@pytest.mark.parametrize(
    "other",
    [
        PASSED._replace(files="others"),
        PASSED._replace(checkout=THERE),
        PASSED._replace(check="mypy"),
        FAILED,
        PASSED._replace(files="others", failed="files", changed=(Content("a.py", "", ""),)),
    ],
    ids=["other files", "another checkout", "another check", "another failure", "what was changed"],
)
def test_what_did_not_fail_and_pass_on_the_same_is_not_flaky(other: Proof) -> None:
    assert flakes(kept(FAILED, other)) == []


def test_a_pass_that_differs_by_the_check_s_own_writing_is_on_the_same_files() -> None:
    assert flakes(kept(FAILED, PASSED._replace(files="others", failed="files"))) == [
        Flake("pytest", "a", 1, 2),
        Flake("pytest", "b", 1, 2),
    ]


def test_who_looks_on_counts_no_run() -> None:
    onlooker = FAILED._replace(runs=0)
    assert flakes(kept(onlooker, FAILED, onlooker, PASSED))[0] == Flake("pytest", "a", 1, 2)


def test_the_runs_on_several_files_add_up() -> None:
    others = [one._replace(files="others") for one in (FAILED, PASSED, PASSED)]
    assert flakes(kept(FAILED, PASSED, *others))[0] == Flake("pytest", "a", 2, 5)


def test_the_number_of_ids_has_a_bound() -> None:
    names = [str(number) for number in range(MOST_IDS + 1)]
    often = FAILED._replace(failures=(names[-1],))
    found = kept(often, FAILED._replace(failures=tuple(names)))
    assert len(found[0].times) == MOST_IDS
    assert found[0].times[names[-1]] == 2
