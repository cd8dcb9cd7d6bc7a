"""Agents in clones whose engine is a database."""

from pathlib import Path

import pytest
from testing.clones import remote_with
from testing.servers import HERE, PASSWORD, PostgresServer, free_port
from testing.support import BUILDGUARD, Checkout, Following, with_variables


@pytest.fixture
def clones(tmp_path: Path, postgres: PostgresServer, database: str) -> list[Checkout]:
    """Two clones of a remote whose main is broken."""
    engine = {"BUILDGUARD_ENGINE": postgres.url(database)}
    return [with_variables(one, engine) for one in remote_with(tmp_path, "a", "b")]


def test_one_fixes_and_the_others_wait_until_it_has_given_up(clones: list[Checkout]) -> None:
    a, b = clones
    assert a.buildguard("run", agent="ann").status == 1
    busy = b.buildguard("run", agent="bob")
    assert (busy.status, "busy: ann is fixing" in busy.both) == (75, True), busy
    waiter = Following(b.start(BUILDGUARD, "wait", agent="bob"))
    waiter.says("waiting: ann is fixing")
    assert a.buildguard("release", "--gave-up", agent="ann").status == 0
    assert waiter.ends().status == 0
    assert b.buildguard("run", agent="bob").status == 1


def test_the_password_of_the_database_is_shown_nowhere(
    clones: list[Checkout], postgres: PostgresServer, database: str
) -> None:
    a, _ = clones
    a.buildguard("run", agent="ann")
    said = [a.buildguard(*words, agent="ann") for words in (["status"], ["status", "--json"], ["doctor"], ["log"])]
    shown = f"postgresql://{HERE}:{postgres.port}/{database}"
    assert all(shown in done.both for done in said[:2]), said
    away = a.buildguard("run", agent="bob", BUILDGUARD_ENGINE=postgres.url(port=free_port()))
    assert "cannot be asked" in away.both
    assert not [done for done in (*said, away) if PASSWORD in done.both]
    kept = [path.read_bytes() for path in (a.path / ".git" / "buildguard").rglob("*") if path.is_file()]
    assert len(kept) > 1
    assert not [content for content in kept if PASSWORD.encode() in content]


def test_doctor_tries_the_database(clones: list[Checkout], postgres: PostgresServer, database: str) -> None:
    a, _ = clones
    assert a.buildguard("doctor", agent="ann").status == 0
    postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    done = a.buildguard("doctor", agent="ann")
    assert (done.status, "can be read, but not written (cannot execute" in done.both) == (1, True), done
