"""The store over an engine for many machines; here PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import CLAIMED, FIXED, FIXING, Clock, writing
from testing.servers import PostgresServer
from testing.support import PATIENCE, eventually

from buildguard.store.postgres import Postgres
from buildguard.store.register import Kept
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore


class OnThatClock(Postgres):
    """Told to be five seconds before the clock of the test, which stands still."""

    clock: Clock

    def load(self, key: str, known: Kept = Kept()) -> Kept:  # noqa: B008
        return super().load(key, known)._replace(now=self.clock.now + 5)

    def swap(self, key: str, expected: Kept, data: str, about: str) -> Kept:
        return super().swap(key, expected, data, about)._replace(now=self.clock.now + 5)


@pytest.fixture
def opened(postgres: PostgresServer, database: str, tmp_path: Path) -> Callable[[str], SharedStore]:
    """Opens the store of a clone of that name."""

    def in_clone(name: str) -> SharedStore:
        git_dir = tmp_path / name / ".git"
        git_dir.mkdir(parents=True, exist_ok=True)
        register = Postgres(postgres.url(database))
        return SharedStore(SqliteStore(git_dir / "buildguard" / "state.db"), register, git_dir)

    return in_clone


@pytest.mark.parametrize("waiters", [1, 6])
def test_waiters_of_a_clone_are_told_over_one_connection_and_need_not_look(
    opened: Callable[[str], SharedStore], postgres: PostgresServer, database: str, waiters: int
) -> None:
    found: list[object] = []
    all_look = threading.Barrier(waiters + 1)

    def waits() -> None:
        store = opened("b")
        since = store.read("build", fresh=True).last_event
        store.register.poll = 1000.0
        all_look.wait(PATIENCE)
        # A little, again and again, as a command does.
        while not store.wait_for_change("build", since, 0.25):
            pass
        found.append(store.read("build").state(FIXING.scope).breakage)
        store.close()

    ann = opened("a")
    ann.update("build", writing(FIXING, events=(CLAIMED,)))
    ann.register.close()
    threads = [threading.Thread(target=waits, daemon=True) for _ in range(waiters)]
    for thread in threads:
        thread.start()
    all_look.wait(PATIENCE)
    eventually(lambda: clients(postgres, database) == 1, "one listens for all")
    state = ann.read("build").state(FIXING.scope)
    ann.update("build", writing(state._replace(breakage=None), events=(FIXED,)))
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [None] * waiters
    ann.close()


def clients(server: PostgresServer, database: str) -> int:
    """How many have a connection."""
    return len(server.sql(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database}'"))


class TestOverPostgres(StoreContract):
    """One clone's store over a database."""

    @pytest.fixture
    def engine(self, postgres: PostgresServer, database: str, tmp_path: Path, clock: Clock) -> Iterator[Engine]:
        (tmp_path / ".git").mkdir()
        registers: list[OnThatClock] = []

        def opened() -> SharedStore:
            registers.append(OnThatClock(postgres.url(database)))
            registers[-1].clock = clock
            near = SqliteStore(tmp_path / ".git" / "buildguard" / "state.db", clock=clock)
            return SharedStore(near, registers[-1], tmp_path / ".git", clock=clock)

        url = postgres.url(database)
        yield Engine(opened, f"open_store(None, Path({str(tmp_path / '.git')!r}), '', {url!r}, {{}})")
        for register in registers:
            register.close()
