"""A hub and two clones, for the stores that many machines share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from store.clones import OPEN, Machine
from store.machines import git
from store.values import Clock

YEAR = 365 * 24 * 3600.0


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Near stores do not stay open: newer Pythons warn of them, in whichever test comes next."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A bare repository, and beside it clones `a` and `b`."""
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    for name in ("a", "b"):
        git(tmp_path, "clone", "-q", "hub.git", name)
    return tmp_path / "hub.git"


@pytest.fixture
def a(hub: Path) -> Machine:
    return Machine(hub.with_name("a"), Clock())


@pytest.fixture
def b(hub: Path) -> Machine:
    return Machine(hub.with_name("b"), Clock(Clock().now - YEAR))
