"""The benchmarks run and print their tables. What they measure is judged by who runs them, not here."""

import re
import subprocess
import sys

import pytest
from benchmarks import fleet
from support import PROJECT

ROW = re.compile(r"\| .+ \| [0-9]+\.[0-9]{2} \S.* \| [0-9]+\.[0-9]{2} \| .*\|")


@pytest.mark.parametrize("name", ["passing", "claim", "waking", "history"])
def test_each_benchmark_prints_a_table_with_ratios(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--smallest", name],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done
    head, _, table = done.stdout.partition("| --- |")
    rows = table.splitlines()[1:]
    figures = rows[: rows.index("")]
    assert "| ratio |" in head
    assert len(figures) >= 4
    assert all(ROW.fullmatch(row) for row in figures), figures


def test_a_benchmark_that_does_not_exist_is_an_error_and_not_an_empty_success() -> None:
    argv = [sys.executable, "-m", "tests.benchmarks", "nosuch"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_small_fleet_has_one_fixer_and_nobody_waits_for_a_private_failure() -> None:
    row = fleet.measure(4, "buildguard")
    assert (row.at_once, row.redundant, row.waited_for_private) == (1, 0, 0), row
