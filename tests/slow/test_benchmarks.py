"""The benchmarks run and print their tables. What they measure is judged by who runs them, not here."""

import re
import subprocess
import sys

import pytest
from benchmarks import fleet
from testing.support import PROJECT, Checkout

ROW = re.compile(r"\| .+ \| [0-9]+\.[0-9]{2} \S.* \| [0-9]+\.[0-9]{2} \| .*\|")


@pytest.mark.parametrize("name", ["passing", "claim", "waking", "history", "sharing", "engines"])
def test_each_benchmark_prints_a_table_with_ratios(name: str) -> None:
    argv = [sys.executable, "-m", "tests.benchmarks", "--smallest", name]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done
    head, _, table = done.stdout.partition("| --- |")
    rows = table.splitlines()[1:]
    figures = rows[: rows.index("")]
    assert "| ratio |" in head
    assert len(figures) >= 4
    assert all(ROW.fullmatch(row) for row in figures), figures


def test_a_benchmark_that_does_not_exist_is_an_error_and_not_an_empty_success() -> None:
    argv = [sys.executable, "-m", "tests.benchmarks", "nosuch"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.timeout(2 * fleet.BOUND)
def test_a_small_fleet_has_one_fixer_and_nobody_waits_for_a_private_failure() -> None:
    row = fleet.measure(4, "buildguard")
    assert (row.at_once, row.redundant, row.waited_for_private, row.red_passing) == (1, 0, 0, 0), row


def test_a_commit_that_was_said_to_be_good_is_checked_in_a_checkout_of_its_own(checkout: Checkout) -> None:
    checkout.write("check.sh", "! grep -q BROKEN app.txt\n")
    facts = []
    for text in ("fine\n", "BROKEN\n", "fine again\n"):
        checkout.write("app.txt", text)
        checkout.ok("add", "-A")
        checkout.ok("commit", "-q", "--no-verify", "-m", text)
        facts += [fleet.Fact(1.0, "a", f"green {checkout.ok('rev-parse', 'HEAD')}")] * 2
    assert fleet.red(checkout, facts) == 1
    assert fleet.red(checkout, [fleet.Fact(1.0, "a", "committed")]) == 0


@pytest.mark.parametrize(
    ("fixer", "waiter", "private"),
    [
        ("fails own-a", "fails app", True),
        ("fails own-a", "fails own-b", True),
        ("fails app own-a", "fails app own-b", False),
        ("fails app own-a", "fails own-b", True),
    ],
)
def test_a_wait_is_for_a_private_failure_if_both_have_none_in_common(
    fixer: str, waiter: str, private: bool
) -> None:
    facts = [fleet.Fact(0.0, "a", fixer), fleet.Fact(0.0, "b", waiter), fleet.Fact(1.0, "b", "waits a")]
    assert _judged(facts).waited_for_private == private


def test_a_wait_is_judged_by_the_last_checks_before_it_and_an_agent_counts_once() -> None:
    shared, own = fleet.Fact(0.0, "a", "fails app"), fleet.Fact(0.0, "a", "fails own-a")
    waiter, waits = fleet.Fact(0.0, "b", "fails app"), fleet.Fact(1.0, "b", "waits a")
    assert _judged([waiter, own, shared, waits, own]).waited_for_private == 0
    assert _judged([waiter, shared, own, waits, waits, shared]).waited_for_private == 1


def test_only_fixes_of_the_shared_breakage_that_overlap_are_at_once() -> None:
    a, b = (fleet.Fact(1.0, "a", "fixing"), fleet.Fact(2.0, "a", "fixed")), fleet.Fact(2.0, "b", "fixing")
    after, within = [*a, b, fleet.Fact(4.0, "b", "fixed")], [a[0], b, a[1], fleet.Fact(4.0, "b", "fixed")]
    rows = [fleet.judged("any", [*_STARTS, *facts, *_ENDS], _PLACES) for facts in (after, within)]
    assert [(row.at_once, row.redundant) for row in rows] == [(1, 1), (2, 1)]


def test_one_second_is_allowed_for_each_commit_that_follows_the_fix_in_one_work_tree() -> None:
    def allowed(**places: str) -> float:
        ends = [fleet.Fact(5.0, agent, "committed") for agent in places]
        return fleet.judged("any", [*_STARTS, *_FIX, *ends], places).allowed - fleet.CHECK_SECONDS

    assert allowed(a="one") == 1
    assert allowed(a="one", b="one") == 2
    assert allowed(a="one", b="two") == 2, "the fix, brought into two, and b's own"
    assert allowed(a="one", b="two", c="two") == 3


_PLACES = {"a": "one", "b": "two"}
_STARTS = [fleet.Fact(0.5, "a", "starts"), fleet.Fact(0.5, "b", "starts")]
_FIX = [fleet.Fact(1.0, "a", "fixing"), fleet.Fact(2.0, "a", "fixed")]
_ENDS = [fleet.Fact(5.0, "a", "committed"), fleet.Fact(5.0, "b", "committed")]


def _judged(facts: list[fleet.Fact]) -> fleet.Row:
    return fleet.judged("any", [*_STARTS, *facts, *_FIX, *_ENDS], _PLACES)
