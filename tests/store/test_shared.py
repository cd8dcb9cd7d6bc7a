"""The store over an engine for many machines; here a ref on a git remote."""

import os
import subprocess
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import Clock

from buildguard.store.gitref import GitRef
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A bare repository, and beside it clones `a` and `b`."""
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    for name in ("a", "b"):
        git(tmp_path, "clone", "-q", "hub.git", name)
    return tmp_path / "hub.git"


def opened(clone: Path, clock: Clock) -> SharedStore:
    near = SqliteStore(clone / ".git/buildguard/state.db", clock=clock)
    return SharedStore(near, GitRef("origin", clone / ".git", dict(os.environ)), clone / ".git", clock=clock)


class TestTheContract(StoreContract):
    """One clone's store over a ref."""

    @pytest.fixture
    def engine(self, hub: Path, clock: Clock) -> Engine:
        common = hub.with_name("a") / ".git"
        expression = f"open_store(None, Path({str(common)!r}), '', 'git:origin', dict(os.environ))"
        return Engine(lambda: opened(hub.with_name("a"), clock), expression)
