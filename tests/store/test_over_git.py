"""The contract of a store, over an engine for many machines: a ref on a git remote."""

import os
import subprocess
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import Clock

from buildguard.store.gitref import GitRef
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore


class TestOverAGitRef(StoreContract):
    """One clone's store over a ref."""

    @pytest.fixture
    def engine(self, tmp_path: Path, clock: Clock) -> Engine:
        for words in (["init", "-q", "--bare", "hub.git"], ["clone", "-q", "hub.git", "clone"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
        common = tmp_path / "clone/.git"

        def opened() -> SharedStore:
            near = SqliteStore(common / "buildguard/state.db", clock=clock)
            return SharedStore(near, GitRef("origin", common, dict(os.environ)), common, clock=clock)

        return Engine(opened, f"open_store(None, Path({str(common)!r}), '', 'git:origin', dict(os.environ))")
