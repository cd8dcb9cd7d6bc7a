"""Fixtures for all tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.servers import PostgresServer, a_postgres
from testing.support import Checkout, new_repository

# Here, because the slow tests import these, too, and may be collected first.
pytest.register_assert_rewrite("store.contract", "store.faulty", "store.register_contract")

SLOW = Path(__file__).parent / "slow"

# With a blank in it, as on many a Mac and on Windows: no path of ours and none of a test's may be taken for two.
TEMPORARY = Path(tempfile.gettempdir(), f"tests of {os.getuid()}")
TEMPORARY.mkdir(exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(TEMPORARY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/slow: nobody can forget the mark there."""
    for item in items:
        if item.path.is_relative_to(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test runs in this project's own repository: its real database is none of their business."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("GIT_", "BUILDGUARD"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository with one commit, the hook, and a check that fails while app.txt says BROKEN."""
    return new_repository(tmp_path / "repository", tmp_path / "home")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for each worker."""
    with a_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database."""
    name = f"test_{os.urandom(4).hex()}"
    postgres.sql(f"CREATE DATABASE {name}")
    yield name
    postgres.sql(f"DROP DATABASE {name} WITH (FORCE)")
