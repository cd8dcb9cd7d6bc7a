"""What a passing commit costs: counted, not timed. One file is staged, nothing is loose, and the build is well."""

import json
import re
import shlex
from pathlib import Path

import pytest
from testing.observed import Observed
from testing.support import PROJECT, Checkout

WRITES = r"INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|VACUUM"


class Passing:
    """A commit that `hooks/pre-commit` let through, as seen from outside."""

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        observed, traced = Observed(folder / "observed"), folder / "traced"
        variables = {**observed.variables, "GIT_TRACE2_EVENT": str(traced)}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        hook = checkout.path / ".git" / "hooks" / "pre-commit"
        hook.write_text(f"#!/bin/sh\n{exports}exec {shlex.quote(str(PROJECT / 'hooks' / 'pre-commit'))}\n")
        done = checkout.git("commit", "-m", "one file", agent="ann")
        assert done.status == 0, done
        assert "buildguard: passed: " in done.err
        events = [json.loads(line) for line in traced.read_text().splitlines()]
        self.gits = [event["argv"] for event in events if event["event"] == "start"]
        self.modules = observed.modules("buildguard")
        self.sql = observed.sql()

    def reads(self) -> int:
        """How often the state was read. What a write reads of its own row is part of the write."""
        found, writing = 0, False
        for statement in self.sql:
            if re.match(r"BEGIN (IMMEDIATE|EXCLUSIVE)", statement):
                writing = True
            elif re.match(r"COMMIT|END|ROLLBACK", statement):
                writing = False
            found += not writing and bool(re.match(r"SELECT\b.*\bFROM build_state\b", statement, re.S))
        return found

    def writes(self) -> int:
        """How many transactions wrote; a statement outside of any is one of its own."""
        found, writing, wrote = 0, False, False
        for statement in self.sql:
            if statement.startswith("BEGIN"):
                writing, wrote = True, False
            elif re.match(r"COMMIT|END", statement):
                found += wrote
                writing = False
            elif re.match(WRITES, statement):
                wrote = True
                found += not writing
        return found


@pytest.fixture
def passing(checkout: Checkout, tmp_path: Path) -> Passing:
    """In a repository whose database tells of an old claim."""
    assert checkout.buildguard("claim", agent="ann").status == 0
    assert checkout.buildguard("release", agent="ann").status == 0
    checkout.write("new.txt", "new\n")
    checkout.ok("add", "new.txt")
    return Passing(checkout, tmp_path)


def test_it_imports_nothing_dear(passing: Passing) -> None:
    dear = {"click", "rich", "psutil", "dataclasses", "importlib.metadata", "asyncio"}
    assert dear & passing.modules.keys() == set()


def test_it_reads_the_state_once(passing: Passing) -> None:
    assert passing.reads() == 1, passing.sql


def test_it_writes_at_most_once(passing: Passing) -> None:
    assert passing.writes() <= 1, passing.sql


def test_it_starts_at_most_four_git_processes(passing: Passing) -> None:
    assert 1 <= len(passing.gits) <= 4, passing.gits
