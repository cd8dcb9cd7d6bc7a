"""The check's verdict stands whatever is wrong with the database, and each command says what to do next."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store.faulty import BAD, Bad, damaged_by, filled_with, good, may_be_removed, obeying, on_a_full_disk
from testing.support import BUILDGUARD, Checkout, Done, ended, new_repository

SOME = list({(bad.fault, bad.next): bad for bad in reversed(BAD)}.values())
"""One of each fault. What else the store meets it tells alike."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A repository with the hook and something new to commit."""
    folder = tmp_path_factory.mktemp("template")
    made = new_repository(folder / "repository", folder / "home")
    made.write("new.txt", "new\n")
    made.ok("add", "-A")
    return made


@pytest.fixture
def ready(template: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of the template: as good as new, and cheaper."""
    shutil.copytree(template.path.parent, tmp_path / "made")
    made = Checkout(tmp_path / "made" / "repository", tmp_path / "made" / "home")
    yield made
    may_be_removed(database(made).parent)


def database(checkout: Checkout) -> Path:
    return checkout.path / ".git" / "buildguard" / "state.db"


def refused(done: Done, words: str) -> None:
    """A command that only coordinates said in one line why it cannot, and what to do next."""
    assert done.status == 69, done
    assert done.out == ""
    said, following = done.err.splitlines()
    assert said.startswith("buildguard: coordination is unavailable: /")
    assert words in said
    assert following.startswith("next: ")


def verdict_stands(checkout: Checkout, words: str, *prefix: str) -> None:
    """Check and hook keep their verdict, red and green, and say each time that coordination is unavailable."""
    heads = [checkout.ok("rev-parse", "HEAD")]
    started = [
        checkout.start(*prefix, BUILDGUARD, "run", "--", "true", agent="me"),
        checkout.start(*prefix, BUILDGUARD, "run", "--", "false", agent="me"),
        checkout.start(*prefix, "git", "commit", "-q", "-m", "green", agent="me"),
    ]
    green, red, commit = (ended(process) for process in started)
    heads.append(checkout.ok("rev-parse", "HEAD"))
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "-A")
    refusal = checkout.run(*prefix, "git", "commit", "-q", "-m", "red", agent="me")
    assert [green.status, red.status, commit.status, refusal.status] == [0, 1, 0, 1], (green, red, commit, refusal)
    assert heads[0] != heads[1] == checkout.ok("rev-parse", "HEAD")
    for done in (green, red, commit, refusal):
        said = [line for line in done.err.splitlines() if "coordination is unavailable" in line]
        assert said, done
        assert all(line.startswith("buildguard: ") and words in line for line in said), done
        assert "Traceback" not in done.both
        assert "claimed" not in done.both
    assert refusal.last.startswith("next: ")


@pytest.mark.parametrize("bad", SOME, ids=lambda bad: bad.name)
def test_a_command_that_only_coordinates_says_that_it_cannot(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    refused(ready.buildguard("claim", agent="me"), bad.words)


@pytest.mark.parametrize("bad", SOME, ids=lambda bad: bad.name)
def test_the_verdict_stands_whatever_is_wrong_with_the_database(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    verdict_stands(ready, bad.words)


@pytest.mark.parametrize("command", ["release", "reset", "wait", "status", "log"])
def test_every_command_that_only_coordinates_ends_alike(command: str, ready: Checkout) -> None:
    damaged_by("PRAGMA user_version = 99")(database(ready))
    refused(ready.buildguard(command, *(["--yes"] if command == "reset" else []), agent="me"), "another buildguard")


@pytest.mark.parametrize("bad", [bad for bad in SOME if bad.next == "mv "], ids=lambda bad: bad.name)
def test_the_next_command_mends_a_database_that_is_of_no_use(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    refusal = ready.buildguard("claim", agent="me")
    assert ready.run("sh", "-c", refusal.last.removeprefix("next: ")).status == 0
    assert ready.buildguard("claim", agent="me").status == 0


@pytest.mark.parametrize("make", [lambda path: None, filled_with(b"")], ids=["missing", "empty"])
def test_a_missing_or_an_empty_database_is_made_by_the_first_claim(
    make: Callable[[Path], None], ready: Checkout
) -> None:
    make(database(ready))
    assert ready.buildguard("claim", agent="me").status == 0
    assert ready.buildguard("claim", agent="you").status == 75


def test_a_locked_database_costs_a_while_and_no_verdict(ready: Checkout) -> None:
    good(database(ready))
    with closing(sqlite3.connect(database(ready), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        claim = ready.start(BUILDGUARD, "claim", agent="me")
        verdict_stands(ready, "locked by another process for longer than 5 s")
        refused(ended(claim), "locked by another process for longer than 5 s")


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o644, 0o555)], ids=["file", "folder"])
def test_the_verdict_stands_where_the_database_may_not_be_written(ready: Checkout, file: int, folder: int) -> None:
    prefix = obeying()
    good(database(ready))
    database(ready).chmod(file)
    database(ready).parent.chmod(folder)
    refused(ready.run(*prefix, BUILDGUARD, "claim", "--scope", "checkout", agent="me"), "cannot be written")
    verdict_stands(ready, "cannot be written", *prefix)


def test_status_log_and_wait_serve_from_a_read_only_folder(ready: Checkout) -> None:
    prefix = obeying()
    assert ready.buildguard("claim", agent="ann").status == 0
    database(ready).chmod(0o444)
    database(ready).parent.chmod(0o555)
    status = ready.run(*prefix, BUILDGUARD, "status", agent="me")
    assert (status.status, status.err) == (0, "")
    assert "ann is fixing since" in status.out
    assert "ann claimed it" in ready.run(*prefix, BUILDGUARD, "log", agent="me").out
    assert ready.run(*prefix, BUILDGUARD, "wait", agent="ann").status == 0
    assert ready.run(*prefix, BUILDGUARD, "wait", "--timeout", "0", agent="me").status == 75


def test_the_verdict_stands_on_a_full_disk(ready: Checkout) -> None:
    folder = database(ready).parent
    folder.mkdir()
    prefix = on_a_full_disk(folder)
    refused(ready.run(*prefix, BUILDGUARD, "claim", agent="me"), "the disk is full")
    verdict_stands(ready, "the disk is full", *prefix)


def test_a_claim_that_was_held_before_the_disk_was_full_can_still_be_read(ready: Checkout, tmp_path: Path) -> None:
    ready.buildguard("claim", "--scope", "repo", agent="ann")
    database(ready).rename(tmp_path / "seed.db")
    prefix = on_a_full_disk(database(ready).parent, tmp_path / "seed.db")
    refused(ready.run(*prefix, BUILDGUARD, "release", agent="ann"), "the disk is full")
    assert ready.run(*prefix, BUILDGUARD, "claim", "--scope", "repo", agent="me").status == 75


def test_a_reason_or_a_check_that_is_no_unicode_is_no_fault_of_the_database(ready: Checkout) -> None:
    odd = os.fsdecode(b"caf\xe9")
    check = [BUILDGUARD, "run", "--", "sh", "-c", "grep -q fine app.txt", odd]
    ready.write("app.txt", "BROKEN\n")
    red = ready.run(*check, agent="me")
    assert (red.status, "unavailable" in red.both) == (1, False), red
    ready.write("app.txt", "fine\n")
    green = ready.run(*check, agent="me")
    assert (green.status, "fixed: " in green.both) == (0, True), green
    ready.buildguard("claim", agent="me")
    assert ready.run(BUILDGUARD, "release", "--gave-up", "--reason", odd, agent="me").status == 0
