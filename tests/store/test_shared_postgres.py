"""The store over an engine for many machines; here PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import Clock
from testing.servers import PostgresServer

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
